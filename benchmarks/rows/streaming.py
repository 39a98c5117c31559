"""Streams through the proxy beside the same streams without it."""

import sys
from collections.abc import Iterator

from benchmarks.instruments.servers import Server, our_proxy
from benchmarks.instruments.token_client import Streams, read_streams
from benchmarks.table.bench import Bench, Finding, Table
from benchmarks.table.goals import Measured
from benchmarks.table.machine import CHECKOUT
from benchmarks.table.rounds import Estimate, added, summary
from local.stack.processes import free_ports

_CLIENTS = 200
_STALLED = 20


def measure(bench: Bench) -> Iterator[Finding]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "benchmarks.instruments.token_server", str(port)]
    with (
        Server("token-server", command, bench.scratch, port=port, variables={"PYTHONPATH": str(CHECKOUT)}) as upstream,
        our_proxy(bench.scratch, upstream.port) as proxy,
    ):
        found: dict[str, list[Streams]] = {"direct": [], "proxy": [], "stalled": []}
        for _ in range(bench.scale.rounds):
            found["direct"].append(_streams(bench, upstream, stalled=0))
            found["proxy"].append(_streams(bench, proxy, stalled=0))
            found["stalled"].append(_streams(bench, proxy, stalled=_STALLED))
    yield Measured(key="streaming.first", value=_added(found, "first_ms", "proxy", "direct"))
    yield Measured(key="streaming.jitter", value=_added(found, "jitter_ms", "proxy", "direct"))
    yield Measured(key="streaming.stalled", value=_added(found, "on_the_way_ms", "stalled", "proxy"))
    yield Table(
        title=f"{_CLIENTS} streams at 20 tokens a second each, medians in ms",
        headings=["", "first token", "jitter between tokens", "a token on its way"],
        rows=[[name, *(f"{_median(each, part):.2f}" for part in _PARTS)] for name, each in found.items()],
    )


_PARTS = ("first_ms", "jitter_ms", "on_the_way_ms")


def _streams(bench: Bench, server: Server, *, stalled: int) -> Streams:
    return read_streams(server.port, clients=_CLIENTS, seconds=2 * bench.scale.seconds, stalled=stalled)


def _added(found: dict[str, list[Streams]], part: str, by: str, to: str) -> Estimate:
    values = {name: [getattr(each, part) for each in found[name]] for name in (by, to)}
    return summary(added(values[by], values[to]))


def _median(rounds: list[Streams], part: str) -> float:
    return summary([getattr(each, part) for each in rounds]).value
