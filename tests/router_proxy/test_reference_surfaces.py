"""The table of surfaces, row by row, and that it misses no path which the proxy serves."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.stand_ins.upstream import body_received

from .conftest import EASY, GENERAL, HARD, REASONING, Proxy, StartProxy
from .reference_tables import rows

ROWS = rows("Surfaces")
Check = Callable[[Proxy], Awaitable[None]]


@pytest.fixture
async def proxy(start_proxy: StartProxy, stand_in_url: str) -> Proxy:
    return await start_proxy(stand_in_url, SEMROUTER_UI="true")


def conversation(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def routes(proxy: Proxy, path: str, body: Callable[[str], dict[str, Any]]) -> None:
    raw = b'{"zzz": 1.50, "model" : "router", ' + json.dumps(body(HARD)).encode()[1:]
    answer = await proxy.post(path, raw, mode="auto")
    assert (answer.outcome, answer.body["received"]["path"]) == ("routed", path)
    assert body_received(answer.body) == raw.replace(b'"router"', f'"{REASONING}"'.encode())
    assert (await proxy.post(path, {"model": GENERAL, **body(HARD)}, mode="off")).outcome == "off"


async def chat(proxy: Proxy) -> None:
    await routes(proxy, "/v1/chat/completions", conversation)


async def completions(proxy: Proxy) -> None:
    await routes(proxy, "/v1/completions", lambda text: {"prompt": text})


async def responses(proxy: Proxy) -> None:
    await routes(proxy, "/v1/responses", lambda text: {"input": text})
    proxy.general.stored.add("resp_1")
    goes_on = {"model": "router", "input": HARD, "previous_response_id": "resp_1"}
    assert (await proxy.post("/v1/responses", goes_on, mode="auto")).body["model"] == GENERAL


async def messages(proxy: Proxy, path: str = "/v1/messages") -> None:
    await routes(proxy, path, conversation)
    refused = await proxy.post(path, {"model": "gpt-9"})
    assert (refused.status, refused.body["type"], refused.body["error"]["type"]) == (404, "error", "not_found_error")


async def count_tokens(proxy: Proxy) -> None:
    await messages(proxy, "/v1/messages/count_tokens")


async def stored_response(proxy: Proxy) -> None:
    proxy.reasoning.stored.add("resp_1")
    for method, below in (("GET", ""), ("DELETE", ""), ("POST", "/cancel")):
        async with proxy.client.request(method, f"/v1/responses/resp_1{below}") as response:
            assert (await response.json())["model"] == REASONING


async def forwards(proxy: Proxy, path: str) -> None:
    raw = f'{{"input": "{HARD}", "model" : "{REASONING}", "n": 1.0}}'.encode()
    answer = await proxy.post(path, raw, mode="force")
    assert (answer.body["model"], answer.body["received"]["path"]) == (REASONING, path)
    assert body_received(answer.body) == raw
    assert "x-semrouter-outcome" not in answer.headers


async def beside_the_ids_of_responses(proxy: Proxy) -> None:
    proxy.reasoning.stored.update({"compact", "input_tokens"})
    for path in paths_in("POST `/v1/responses/compact`"):
        await forwards(proxy, path)


async def other_paths_under_v1(proxy: Proxy) -> None:
    for path in ("/v1/embeddings", "/v1/rerank", "/v1/score", "/v1/audio/speech"):
        await forwards(proxy, path)
    form = aiohttp.FormData({"model": REASONING})
    form.add_field("file", b"\x00\xff", filename="a.wav")
    async with proxy.client.post("/v1/audio/transcriptions", data=form) as response:
        assert (await response.json())["model"] == REASONING


async def paths_outside_v1(proxy: Proxy) -> None:
    for path in paths_in("POST `/tokenize`"):
        await forwards(proxy, path)


async def models(proxy: Proxy) -> None:
    async with proxy.client.get("/v1/models") as response:
        assert [each["id"] for each in (await response.json())["data"]] == [REASONING, GENERAL, "router"]
    async with proxy.client.get(f"/v1/models/{GENERAL}") as response:
        assert (await response.json())["id"] == GENERAL


async def preview(proxy: Proxy) -> None:
    for body in ({"text": HARD}, conversation(HARD), {"input": HARD}, {"prompt": HARD}):
        answer = await proxy.post("/v1/route?explain=1", body)
        assert (answer.body["outcome"], answer.body["upstream"]) == ("routed", REASONING)
        assert HARD not in str(answer.body)
    assert proxy.reasoning.requests_begun == 0
    assert await proxy.metric("semrouter_requests_total") == 0


async def probes(proxy: Proxy) -> None:
    proxy.gateway.upstreams.client_keys["TEAM"] = b"alpha"
    for path in ("/health/live", "/health/ready", "/metrics"):
        async with proxy.client.get(path) as response:
            assert response.status == 200


async def page(proxy: Proxy) -> None:
    proxy.gateway.upstreams.client_keys["TEAM"] = b"alpha"
    async with proxy.client.get("/ui") as response:
        assert (response.status, response.content_type) == (200, "text/html")
    assert (await proxy.post("/v1/route?explain=1", {"text": EASY})).status == 401
    assert (await proxy.post("/v1/route?explain=1", {"text": EASY}, x_api_key="alpha")).status == 200


CHECKS: dict[str, Check] = {
    "POST `/v1/chat/completions`": chat,
    "POST `/v1/completions`": completions,
    "POST `/v1/responses`": responses,
    "POST `/v1/messages`": messages,
    "POST `/v1/messages/count_tokens`": count_tokens,
    "GET, DELETE, POST `/v1/responses/{id}` and below it": stored_response,
    "POST `/v1/responses/compact`": beside_the_ids_of_responses,
    "POST `/v1/…`: embeddings, rerank, score, audio, …": other_paths_under_v1,
    "POST `/tokenize`": paths_outside_v1,
    "GET `/v1/models`": models,
    "POST `/v1/route`": preview,
    "GET `/health/live`": probes,
    "GET `/ui`": page,
}


def paths_in(start: str) -> list[str]:
    """Return the paths that the row which starts so names."""
    (name,) = [name for name in ROWS if name.startswith(start)]
    return re.findall(r"`(/[^`]+)`", name)


def test_every_row_is_checked_and_nothing_else() -> None:
    assert len(CHECKS) == len(ROWS)
    assert [name.startswith(start) for name, start in zip(ROWS, CHECKS, strict=True)] == [True] * len(ROWS)


def test_the_table_misses_no_path_that_is_served(proxy: Proxy) -> None:
    named = {path for row in ROWS for path in paths_in(row)}
    in_general = {"/v1/{rest}", "/v1/responses/{id}/{rest}", "/{path}"}  # what `/v1/…`, "below it" and no row say

    assert {resource.canonical for resource in proxy.client.app.router.resources()} == (named - {"/v1/…"}) | in_general


@pytest.mark.parametrize("row", CHECKS)
async def test_a_surface_does_what_its_row_says(proxy: Proxy, row: str) -> None:
    await CHECKS[row](proxy)
