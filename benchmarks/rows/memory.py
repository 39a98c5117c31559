"""Memory of every process after many requests, beside itself after warm-up; every text is new."""

import time
from collections import defaultdict
from collections.abc import Iterator

import psutil

from benchmarks.instruments.servers import fast_upstream, our_proxy, triton
from benchmarks.instruments.wrk import load
from benchmarks.table.bench import Bench, Finding, Table
from benchmarks.table.goals import Measured
from benchmarks.table.rounds import Estimate

_CONNECTIONS = 16
# What the cache may hold is filled by the warm-up; it is bounded, so filling it is no growth.
_CACHE_ENTRIES = 500
_WARM_REQUESTS = 3000  # so that every process has met every length in large and small batches
_WARM_SECONDS = 20
_SLICE_SECONDS = 5
_MEBIBYTE = 2**20


def measure(bench: Bench) -> Iterator[Finding]:
    with fast_upstream(bench.scratch) as upstream, triton(bench.scratch) as server:
        variables = {"enabled": "true", "triton_url": f"127.0.0.1:{server.ports.grpc}"}
        variables["cache_entries"] = str(_CACHE_ENTRIES)
        with our_proxy(bench.scratch, upstream.port, routing_budget_ms="2000", **variables) as proxy:
            _ask(proxy.port, _WARM_REQUESTS, _WARM_SECONDS)
            before = _memory(proxy.pid, server.pid)
            asked = _ask(proxy.port, bench.scale.memory_requests, bench.scale.memory_seconds)
            after = _memory(proxy.pid, server.pid)
    for part, values in after.items():
        yield Measured(
            key=f"memory.{part}",
            value=growth(before[part], values),
            detail=f"{asked} requests, new texts of 15 to 230 tokens",
        )
    yield Table(
        title=f"Memory that no other process shares, MiB, before and after {asked} requests with new texts",
        headings=["", "processes", "after warm-up", "at the end"],
        rows=[
            [part, str(len(values)), f"{sum(before[part]) / _MEBIBYTE:.1f}", f"{sum(values) / _MEBIBYTE:.1f}"]
            for part, values in after.items()
        ],
    )


def _ask(port: int, requests: int, seconds: int) -> int:
    """Ask `requests`, or as many as `seconds` allow, and return how many they were."""
    asked = 0
    until = time.monotonic() + seconds
    while asked < requests and time.monotonic() < until:
        asked += load(
            port, connections=_CONNECTIONS, seconds=_SLICE_SECONDS, mode="auto", model="router", text="new"
        ).requests
    return asked


def _memory(proxy: int, server: int) -> dict[str, list[int]]:
    """Return the unshared bytes of each process, by what it is."""
    found: dict[str, list[int]] = defaultdict(list)
    found["proxy"].append(psutil.Process(proxy).memory_full_info().uss)
    found["server"].append(psutil.Process(server).memory_full_info().uss)
    for process in psutil.Process(server).children(recursive=True):
        command = " ".join(process.cmdline())
        if "semantic_router" in command and "stub" in command:
            found["router"].append(process.memory_full_info().uss)
        elif "reasoning_classifier" in command and "stub" in command:
            found["classifier"].append(process.memory_full_info().uss)
    return dict(found)


def growth(before: list[int], after: list[int]) -> Estimate:
    """Compare process by process; the one that grew most counts, and the spread is that of the processes."""
    growths = [now / then for now, then in zip(sorted(after), sorted(before), strict=True)]
    return Estimate(value=max(growths), low=min(growths), high=max(growths))
