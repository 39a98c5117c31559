"""A client that goes away takes its generation along: vLLM's own /metrics says so."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from .conftest import HARD, REASONING, Router, VllmServer

LONG = 60_000  # tokens: minutes of work
CHAT = {"messages": [{"role": "user", "content": HARD}], "max_tokens": LONG, "ignore_eos": True}
LEGACY = {"prompt": HARD, "max_tokens": LONG, "ignore_eos": True}
RESPONSES = {"input": HARD, "max_output_tokens": LONG}
MESSAGES = {"messages": [{"role": "user", "content": HARD}], "max_tokens": LONG}


@pytest.mark.parametrize(
    "streaming", [pytest.param({"stream": True}, id="streamed"), pytest.param({"stream": False}, id="whole")]
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/chat/completions", CHAT, id="chat"),
        pytest.param("/v1/completions", LEGACY, id="completions"),
        pytest.param("/v1/responses", RESPONSES, id="responses"),
        pytest.param("/v1/messages", MESSAGES, id="messages"),
    ],
)
async def test_a_client_that_goes_away_ends_its_generation(
    router: Router, http: aiohttp.ClientSession, path: str, body: dict[str, Any], streaming: dict[str, bool]
) -> None:
    reasoning = router.upstreams[REASONING]
    finished_before = await metric(http, reasoning, "request_success_total")

    await leave_during(http, reasoning, f"{router.url}{path}", {**body, "model": "router", **streaming})

    # It was given up: a generation that came to its end would be counted.
    assert await metric(http, reasoning, "request_success_total") == finished_before


async def test_it_ends_within_a_second(router: Router, http: aiohttp.ClientSession) -> None:
    """The quickest of five counts: what else this machine is doing is not the router's."""
    reasoning = router.upstreams[REASONING]
    body = {**CHAT, "model": "router", "stream": True}

    seconds = [await leave_during(http, reasoning, f"{router.url}/v1/chat/completions", body) for _ in range(5)]

    assert min(seconds) < 1


async def leave_during(http: aiohttp.ClientSession, server: VllmServer, url: str, body: dict[str, Any]) -> float:
    """Go away while `server` generates, and return how many seconds later it stopped."""
    client = asyncio.create_task(converse(http, url, body))
    await until_running(http, server, 1)
    client.cancel()
    left = time.perf_counter()
    await until_running(http, server, 0)
    return time.perf_counter() - left


async def converse(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    async with http.post(url, json=body, headers={"X-Dynamo-Routing": "auto"}) as answer:
        async for _ in answer.content:
            pass


async def until_running(http: aiohttp.ClientSession, server: VllmServer, requests: int) -> None:
    while await metric(http, server, "num_requests_running") != requests:  # noqa: ASYNC110 - no event crosses processes
        await asyncio.sleep(0.02)


async def metric(http: aiohttp.ClientSession, server: VllmServer, name: str) -> float:
    """Return the sum of vLLM's samples of `name`."""
    async with http.get(f"{server.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"vllm:{name}{{"))
