"""The proxy beside the best peers before one and the same upstream: nginx, sglang-router (Rust), LiteLLM."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from benchmarks.errors import NotMeasured, reason_of
from benchmarks.instruments.servers import (
    Server,
    fast_upstream,
    litellm_proxy,
    nginx_proxy,
    our_proxy,
    plain_proxy,
    sglang_router,
)
from benchmarks.instruments.wrk import load
from benchmarks.table.bench import Bench, Finding, Table
from benchmarks.table.goals import Measured, Missing
from benchmarks.table.rounds import added, call, interleave, ratio, summary
from local.errors import StartFailed

_PEERS = {"nginx": nginx_proxy, "sglang-router": sglang_router, "plain aiohttp, one process": plain_proxy}
_CONNECTIONS = (16, 64)
_LITELLM_ROUNDS = 2
_LITELLM_SECONDS = 4  # for each second of the others: on two cores 64 requests take it two seconds
_SETTLE_SECONDS = 2  # it goes on answering requests whose client is gone
_PEER_OF = {
    "proxy.added": "sglang-router",
    "proxy.added-nginx": "nginx",
    "proxy.rate-16": "sglang-router",
    "proxy.rate-64": "sglang-router",
}
_ONE = "ours, one worker"
_ALL = "ours, all workers"


def measure(bench: Bench) -> Iterator[Finding]:
    with ExitStack() as running:
        upstream = running.enter_context(fast_upstream(bench.scratch))
        failures: dict[str, str] = {}
        servers = {"nothing": upstream, **_peers(bench, running, upstream.port, failures)}
        servers[_ONE] = running.enter_context(our_proxy(bench.scratch, upstream.port))
        workers = str(len(os.sched_getaffinity(0)))
        servers[_ALL] = running.enter_context(our_proxy(bench.scratch, upstream.port, "workers", workers=workers))
        yield from (Missing(key=key, reason=failures[peer]) for key, peer in _PEER_OF.items() if peer in failures)
        p50s = _added(bench, servers)
        yield from _latency_rows(p50s)
        rates = {connections: _rates(bench, servers, connections) for connections in _CONNECTIONS}
        yield from _rate_rows(rates)
        yield _table(p50s, rates)
        yield from _litellm_rows(bench, upstream.port, servers[_ALL], len(os.sched_getaffinity(0)))


def _peers(bench: Bench, running: ExitStack, upstream: int, failures: dict[str, str]) -> dict[str, Server]:
    """Start every peer that can be had; `failures` says why one cannot."""
    started = {}
    for name, start in _PEERS.items():
        try:
            started[name] = running.enter_context(start(bench.scratch, upstream))
        except (NotMeasured, StartFailed) as exc:
            failures[name] = reason_of(exc)
    return started


def _added(bench: Bench, servers: dict[str, Server]) -> dict[str, list[float]]:
    return interleave(
        {name: server for name, server in servers.items() if name != _ALL},
        lambda server: load(server.port, connections=1, seconds=bench.scale.seconds).p50_us,
        bench.scale.rounds,
    )


def _rates(bench: Bench, servers: dict[str, Server], connections: int) -> dict[str, list[float]]:
    return interleave(
        {name: server for name, server in servers.items() if name != _ONE},
        lambda server: _rate(bench, server, connections),
        bench.scale.rounds,
    )


def _rate(bench: Bench, server: Server, connections: int) -> float:
    return load(server.port, connections=connections, seconds=bench.scale.seconds).rate


def _latency_rows(p50s: dict[str, list[float]]) -> Iterator[Measured]:
    extra = {name: added(values, p50s["nothing"]) for name, values in p50s.items()}
    for key, peer in _PEER_OF.items():
        if key.startswith("proxy.added") and peer in extra:
            detail = f"{summary(extra[_ONE]).value:.0f} against {summary(extra[peer]).value:.0f} µs"
            yield Measured(key=key, value=ratio(extra[_ONE], extra[peer]), detail=detail)


def _rate_rows(rates: dict[int, dict[str, list[float]]]) -> Iterator[Measured]:
    for connections, found in rates.items():
        if "sglang-router" in found:
            yield _rate_row(f"proxy.rate-{connections}", found[_ALL], found["sglang-router"])


def _litellm_rows(bench: Bench, upstream: int, ours: Server, workers: int) -> Iterator[Finding]:
    """Run LiteLLM last and for fewer rounds: its processes are idle while the others are measured, and it is slow."""
    try:
        with litellm_proxy(bench.scratch, upstream, workers) as litellm:
            load(litellm.port, connections=16, seconds=bench.scale.seconds)  # warm
            for connections in _CONNECTIONS:
                ways = {
                    "ours": partial(_rate, bench, ours, connections),
                    "litellm": partial(_litellm_rate, bench, litellm, connections),
                }
                found = interleave(ways, call, _LITELLM_ROUNDS)
                yield _rate_row(f"proxy.litellm-{connections}", found["ours"], found["litellm"])
    except (NotMeasured, StartFailed) as exc:
        yield from (Missing(key=f"proxy.litellm-{connections}", reason=reason_of(exc)) for connections in _CONNECTIONS)


def _litellm_rate(bench: Bench, litellm: Server, connections: int) -> float:
    found = load(litellm.port, connections=connections, seconds=_LITELLM_SECONDS * bench.scale.seconds)
    time.sleep(_SETTLE_SECONDS)
    return found.rate


def _rate_row(key: str, ours: list[float], peer: list[float]) -> Measured:
    detail = f"{summary(ours).value:.0f} against {summary(peer).value:.0f} a second"
    return Measured(key=key, value=ratio(ours, peer), detail=detail)


def _table(p50s: dict[str, list[float]], rates: dict[int, dict[str, list[float]]]) -> Table:
    names = list(dict.fromkeys([*p50s, *rates[_CONNECTIONS[0]]]))
    return Table(
        title="Proxies before one upstream that answers at once",
        headings=["in front", "p50 at 1, µs", *(f"requests/s at {connections}" for connections in _CONNECTIONS)],
        rows=[
            [
                name,
                f"{summary(p50s[name]).value:.0f}" if name in p50s else "",
                *(f"{summary(found[name]).value:.0f}" if name in found else "" for found in rates.values()),
            ]
            for name in names
        ],
    )
