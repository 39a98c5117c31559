"""Steady mixed load on a stack while something breaks, and what its clients, its log and its metrics say of it."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp

from tests.system.conftest import LLAMA, Stack

CLIENTS = 4
_PACE_SECONDS = 0.05  # between two requests of a client: steady, and no load worth the name
_COUNTED = re.compile(r"^semrouter_requests_total\{.*\} (\S+)$", re.MULTILINE)
NOT_ANSWERED = 0


class Traffic:
    """Asks in every mode; `ended` counts status and outcome of each request sent, `NOT_ANSWERED` without any."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._numbers = count()
        self.ended: Counter[tuple[int, str]] = Counter()
        self.last_outcome = ""

    @property
    def statuses(self) -> Counter[int]:
        found: Counter[int] = Counter()
        for (status, _), times in self.ended.items():
            found[status] += times
        return found

    async def until(self, holds: Callable[[], bool]) -> None:
        """Go on until `holds`, for a minute and a half at most: Triton's restarts take that on a busy machine."""
        async with asyncio.timeout(90):
            while not holds():  # noqa: ASYNC110 - what is waited for happens in other processes
                await asyncio.sleep(_PACE_SECONDS)

    async def until_routed_again(self) -> None:
        """Go on until new texts have been routed again some ten times in a row."""
        in_a_row = 0
        while in_a_row < 10:
            before = self.ended.total()
            await self.until(lambda before=before: self.ended.total() >= before + CLIENTS)  # type: ignore[misc]
            in_a_row = in_a_row + 1 if self.last_outcome == "routed" else 0

    async def client(self, session: aiohttp.ClientSession, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            await self._ask(session, next(self._numbers))
            await asyncio.sleep(_PACE_SECONDS)

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        mode, body = _request(number)
        try:
            async with session.post("/v1/chat/completions", json=body, headers={"X-Dynamo-Routing": mode}) as answer:
                await answer.read()
        except aiohttp.ClientError:
            self.ended[NOT_ANSWERED, ""] += 1
            return
        outcome = answer.headers.get("x-semrouter-outcome", "")
        self.ended[answer.status, outcome] += 1
        if mode == "auto":
            self.last_outcome = outcome


@asynccontextmanager
async def traffic(stack: Stack) -> AsyncIterator[Traffic]:
    """Keep clients asking until the block ends and their last requests have."""
    running, stopped = Traffic(stack), asyncio.Event()
    async with aiohttp.ClientSession(stack.url) as session, asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(running.client(session, stopped))
        try:
            yield running
        finally:
            stopped.set()


async def counted(stack: Stack) -> int:
    """Return how many requests the metrics count, of all workers, dead ones included."""
    async with aiohttp.ClientSession(stack.url) as session, session.get("/metrics") as answer:
        return int(sum(float(value) for value in _COUNTED.findall(await answer.text())))


def logged(stack: Stack) -> int:
    """Return how many requests the decision log has."""
    lines = stack.proxy_log.read_text(encoding="utf-8").splitlines()
    return sum(1 for line in lines if line.startswith("{") and "request_id" in json.loads(line))


def _request(number: int) -> tuple[str, dict[str, Any]]:
    """Return mode and body of a request: new texts to route, explicit models, streams, shadow."""
    text = f"Prove that the sum of {number} odd numbers is a square. Show each step."
    message = {"messages": [{"role": "user", "content": text}]}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("auto", {"model": "router"}),
        ("off", {"model": LLAMA}),
        ("auto", {"model": "router"}),
        ("shadow", {"model": LLAMA}),
        ("off", {"model": LLAMA, "stream": True}),
    ]
    mode, body = kinds[number % len(kinds)]
    return mode, body | message
