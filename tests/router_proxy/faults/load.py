"""Clients that keep asking in every mode, and an account of what became of each request: nothing may be lost."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING

CHAT = "/v1/chat/completions"
CLIENTS = 8
ROUTED_EASY, ROUTED_HARD = ("auto", "router", EASY), ("auto", "router", HARD)
NAMED_GENERAL, NAMED_REASONING = ("auto", GENERAL, EASY), ("off", REASONING, HARD)
SHADOWED = ("shadow", GENERAL, HARD)
KINDS = (ROUTED_EASY, ROUTED_HARD, NAMED_GENERAL, NAMED_REASONING, SHADOWED)
Kind = tuple[str, str, str]


class Seen(msgspec.Struct, kw_only=True):
    """What clients saw, by kind of request: a status, or `cut` for an answer that was not whole."""

    results: Counter[tuple[Kind, int | str]] = msgspec.field(default_factory=Counter)

    @property
    def sent(self) -> int:
        return self.results.total()

    @property
    def statuses(self) -> Counter[int | str]:
        statuses: Counter[int | str] = Counter()
        for (_, status), count in self.results.items():
            statuses[status] += count
        return statuses

    def of(self, *kinds: Kind) -> set[int | str]:
        return {status for (kind, status), _ in self.results.items() if kind in kinds}


async def steady_load(url: str, requests: int, fault: Callable[[], Awaitable[Any]]) -> Seen:
    """Send `requests` of every kind in turn from several clients; the fault comes when a third is answered."""
    seen, kinds = Seen(), itertools.cycle(KINDS)
    left, third = itertools.count(requests, -1), asyncio.Event()

    async def keep_asking() -> None:
        async with aiohttp.ClientSession(url) as session:
            while next(left) > 0:
                kind = next(kinds)
                seen.results[kind, await ask(session, kind)] += 1
                if seen.sent >= requests // 3:
                    third.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(keep_asking())
        await third.wait()
        await fault()
    return seen


async def ask(session: aiohttp.ClientSession, kind: Kind) -> int | str:
    mode, model, text = kind
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}
    try:
        async with session.post(CHAT, json=body, headers={"X-Dynamo-Routing": mode}) as response:
            answer = await response.read()
    except aiohttp.ClientError:
        return "cut"
    return response.status if response.status != 200 or answer.endswith(b"[DONE]\n\n") else "cut"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What the proxy says became of requests: in its metrics and in its log."""

    outcomes: Counter[str]
    results: Counter[str]  # of attempts at upstreams
    logged: Counter[str]
    samples: dict[str, float]


async def account(url: str, log: Path, requests: int) -> Account:
    """Return the account once so many requests are in it; a client that was cut off does not wait for that."""
    async with aiohttp.ClientSession(url) as session, asyncio.timeout(60):
        while True:
            found = await _account(session, log)
            if min(found.outcomes.total(), found.logged.total()) >= requests:
                return found


async def _account(session: aiohttp.ClientSession, log: Path) -> Account:
    async with session.get("/metrics", headers={"Connection": "close"}) as response:
        exposed = await response.text()
    outcomes: Counter[str] = Counter()
    results: Counter[str] = Counter()
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            samples[sample.name] = samples.get(sample.name, 0) + sample.value
            if sample.name == "semrouter_requests_total":
                outcomes[sample.labels["outcome"]] += int(sample.value)
            if sample.name == "semrouter_upstream_requests_total":
                results[sample.labels["result"]] += int(sample.value)
    lines = log.read_bytes().splitlines() if log.exists() else []
    logged = Counter(msgspec.json.decode(line)["outcome"] for line in lines)
    return Account(outcomes=outcomes, results=results, logged=logged, samples=samples)
