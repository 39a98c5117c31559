"""Faults under steady mixed load on two workers and two endpoints a model: what clients see, and that all adds up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import msgspec
import psutil
import pytest
import yaml

from tests.router_proxy.conftest import GENERAL, POLICY, REASONING
from tests.router_proxy.test_commands import announced_url, serving
from tests.router_proxy.test_workers import workers_of

from .faulty_upstream import Fault, FaultyUpstream
from .load import (
    CHAT,
    CLIENTS,
    NAMED_GENERAL,
    NAMED_REASONING,
    ROUTED_EASY,
    ROUTED_HARD,
    SHADOWED,
    Account,
    Seen,
    account,
    steady_load,
)

REQUESTS = 150
# Until two workers each have found an endpoint failing five times in a row, and one try of each per two seconds.
FEW = 20


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """Two workers before two endpoints of each of two models. REASONING has GENERAL to fall back to."""

    url: str
    pid: int
    upstreams: dict[str, list[FaultyUpstream]]
    log: Path
    left: asyncio.Semaphore

    async def under_load(self, fault: Callable[[], Awaitable[None]], *, lost: int = 0) -> tuple[Seen, Account]:
        """Return what clients saw and what the proxy says of it: one outcome and one line for each request."""
        seen = await steady_load(self.url, REQUESTS, fault)
        found = await account(self.url, self.log, seen.sent - lost)
        assert seen.sent == REQUESTS
        assert seen.sent - lost <= found.outcomes.total() <= seen.sent
        assert found.outcomes == found.logged or lost
        return seen, found

    @property
    def received(self) -> int:
        return sum(each.received for endpoints in self.upstreams.values() for each in endpoints)


@pytest.fixture
async def stack(tmp_path: Path, stand_in_url: str) -> AsyncIterator[Stack]:
    left = asyncio.Semaphore(0)
    async with AsyncExitStack() as running:
        upstreams = {
            model: [await running.enter_async_context(FaultyUpstream(left).serving()) for _ in range(2)]
            for model in (GENERAL, REASONING)
        }
        form = {
            model: {"endpoints": [each.url for each in endpoints], "timeouts": {"connect": 2, "first_byte": 2}}
            for model, endpoints in upstreams.items()
        }
        form[REASONING]["fallbacks"] = [GENERAL]
        file, log = tmp_path / "faults.yaml", tmp_path / "decisions.jsonl"
        file.write_text(yaml.safe_dump({"upstreams": form}))
        process = await running.enter_async_context(
            serving(
                tmp_path,
                SEMROUTER_UPSTREAMS=str(file),
                SEMROUTER_ENABLED="true",
                SEMROUTER_CONFIG=str(POLICY),
                SEMROUTER_TRITON_URL=stand_in_url,
                SEMROUTER_ROUTING_BUDGET_MS="2000",
                SEMROUTER_CANARY_SECONDS="0",
                SEMROUTER_WORKERS="2",
                SEMROUTER_DECISION_LOG=str(log),
                SEMROUTER_HEALTH_INTERVAL_SECONDS="0.2",
            )
        )
        url = await announced_url(process)
        yield Stack(url=url, pid=process.pid, upstreams=upstreams, log=log, left=left)


async def test_without_a_fault_every_request_is_answered_and_all_adds_up(stack: Stack) -> None:
    async def nothing() -> None:
        pass

    seen, found = await stack.under_load(nothing)

    assert seen.statuses == {200: REQUESTS}
    assert found.outcomes == {"routed": 60, "explicit": 30, "off": 30, "shadow": 30}
    assert found.results == {"2xx": stack.received} == {"2xx": REQUESTS}


@pytest.mark.parametrize(
    ("fault", "moved"),
    [("hung", "timed_out"), ("resetting", "unreachable"), ("503", "5xx"), ("slow", "2xx")],
)
async def test_one_endpoint_of_two_in_trouble_is_seen_by_no_client(stack: Stack, fault: Fault, moved: str) -> None:
    async def begin() -> None:
        stack.upstreams[GENERAL][0].fault = fault

    seen, found = await stack.under_load(begin)

    assert seen.statuses == {200: REQUESTS}
    assert found.results["2xx"] == REQUESTS
    assert found.results[moved] > 0
    assert stack.received >= found.results.total()


async def test_one_endpoint_of_two_killed_is_seen_only_by_whom_it_was_answering(stack: Stack) -> None:
    seen, found = await stack.under_load(stack.upstreams[GENERAL][0].kill)

    assert set(seen.statuses) <= {200, "cut"}
    assert seen.statuses["cut"] == found.results["aborted"] <= CLIENTS
    assert found.results["unreachable"] > 0
    assert found.results["2xx"] + found.results["aborted"] == REQUESTS


async def test_one_endpoint_of_two_that_answers_500_is_asked_little(stack: Stack) -> None:
    async def begin() -> None:
        stack.upstreams[GENERAL][0].fault = "500"

    seen, found = await stack.under_load(begin)

    assert set(seen.statuses) == {200, 500}
    assert seen.statuses[500] == found.results["5xx"] <= FEW
    assert found.results.total() == stack.received == REQUESTS


async def test_a_target_that_is_gone_is_missed_only_by_who_named_it(stack: Stack) -> None:
    async def kill_both() -> None:
        for endpoint in stack.upstreams[REASONING]:
            await endpoint.kill()

    seen, found = await stack.under_load(kill_both)

    assert seen.of(ROUTED_EASY, NAMED_GENERAL, SHADOWED) == {200}
    assert seen.of(ROUTED_HARD) <= {200, "cut"}
    assert seen.of(NAMED_REASONING) >= {200, 502}
    assert found.outcomes == {"routed": 60, "explicit": 30, "off": 30, "shadow": 30}
    assert found.results["unreachable"] > 0


async def test_a_worker_killed_costs_what_it_was_answering(stack: Stack) -> None:
    async def kill_one() -> None:
        psutil.Process(min(workers_of(stack.pid))).kill()

    seen, _ = await stack.under_load(kill_one, lost=2 * CLIENTS)

    assert set(seen.statuses) <= {200, "cut"}
    assert seen.statuses["cut"] <= 2 * CLIENTS


async def test_clients_that_leave_in_the_middle_cancel_their_upstreams(stack: Stack) -> None:
    endpoints = [each for endpoints in stack.upstreams.values() for each in endpoints]
    for each in endpoints:
        each.holds_streams.set()

    async def leave() -> None:
        body = {"model": GENERAL, "stream": True}
        async with aiohttp.ClientSession(stack.url) as session, session.post(CHAT, json=body) as response:
            await response.content.readuntil(b"\n\n")
            response.close()

    await asyncio.gather(*(leave() for _ in range(50)))
    found = await account(stack.url, stack.log, 50)

    assert (found.outcomes, found.results) == ({"off": 50}, {"cancelled": 50})
    async with asyncio.timeout(30):
        for _ in range(50):
            await stack.left.acquire()
    assert found.samples["semrouter_in_flight_requests"] == 0
