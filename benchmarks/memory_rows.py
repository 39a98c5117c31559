"""Memory of every process after many requests, beside itself after warm-up; every text is new."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator

import psutil

from .bench import Bench, Finding, Table
from .goals import Measured
from .rounds import Estimate, summary
from .servers import fast_upstream, our_proxy, triton
from .wrk import load

_CONNECTIONS = 16
# What the cache may hold is filled by the warm-up; it is bounded, so filling it is no growth.
_CACHE_ENTRIES = 500
_WARM_SECONDS = 8
_SLICE_SECONDS = 10
_MEBIBYTE = 2**20


def measure(bench: Bench) -> Iterator[Finding]:
    with fast_upstream(bench.scratch) as upstream, triton(bench.scratch) as server:
        variables = {"enabled": "true", "triton_url": f"127.0.0.1:{server.ports.grpc}"}
        variables["cache_entries"] = str(_CACHE_ENTRIES)
        with our_proxy(bench.scratch, upstream.port, routing_budget_ms="2000", **variables) as proxy:
            _ask(proxy.port, _WARM_SECONDS)
            before = _memory(proxy.pid, server.pid)
            asked = 0
            until = time.monotonic() + bench.scale.memory_seconds
            while asked < bench.scale.memory_requests and time.monotonic() < until:
                asked += _ask(proxy.port, _SLICE_SECONDS)
            after = _memory(proxy.pid, server.pid)
    for part, values in after.items():
        yield Measured(
            key=f"memory.{part}",
            value=_growth(before[part], values),
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


def _ask(port: int, seconds: int) -> int:
    found = load(port, connections=_CONNECTIONS, seconds=seconds, mode="auto", model="router", text="new")
    return math.ceil(found.requests)


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


def _growth(before: list[int], after: list[int]) -> Estimate:
    """Compare process by process: the spread is that of several processes, not of rounds."""
    return summary([now / then for now, then in zip(sorted(after), sorted(before), strict=True)])
