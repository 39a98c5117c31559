"""What every family of rows is given: where tools and scratch space are, and how much to measure."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from benchmarks.errors import ToolMissing

from .goals import Measured, Missing
from .machine import CHECKOUT

TOOLS = CHECKOUT / ".tools"
_PROGRAMS = {
    "wrk": TOOLS / "debian" / "usr" / "bin" / "wrk",
    "nginx": TOOLS / "debian" / "usr" / "sbin" / "nginx",
    "perf_analyzer": TOOLS / "perf_analyzer" / "perf_analyzer",
    "sglang-router": TOOLS / "sglang-router" / "bin" / "python",
    "litellm": TOOLS / "litellm" / "bin" / "litellm",
}


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How long to measure. `seconds` is one measurement of one side of a pair in one round."""

    rounds: int
    seconds: int
    memory_requests: int
    memory_seconds: int  # the time those requests may take; the row says how many there were
    family_seconds: int  # the time a family may take, so that nothing hangs

    def requests(self, each_us: float) -> int:
        """Return how many requests that take `each_us` one after the other fill one measurement."""
        return max(round(self.seconds * 1e6 / each_us), _FEWEST_REQUESTS)


_FEWEST_REQUESTS = 50
QUICK = Scale(rounds=5, seconds=1, memory_requests=10_000, memory_seconds=30, family_seconds=180)
FULL = Scale(rounds=15, seconds=4, memory_requests=200_000, memory_seconds=3600, family_seconds=4500)


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    scratch: Path
    scale: Scale


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers behind the rows, printed below them."""

    title: str
    headings: list[str]
    rows: list[list[str]]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Cost against size, one panel of the plot."""

    title: str
    size: str
    cost: str
    points: list[tuple[float, float]]


Finding = Measured | Missing | Table | Curve
Family = Callable[[Bench], Iterator[Finding]]


def program(name: str) -> Path:
    """Return where `name` is; ToolMissing says how to get it."""
    path = _PROGRAMS[name]
    if not path.exists():
        raise ToolMissing(f"{name} is not in .tools: benchmarks/prepare-tools.sh")
    return path
