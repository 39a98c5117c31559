"""What every family of rows is given: where tools and scratch space are, and how much to measure."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from .errors import ToolMissing
from .goals import Measured
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
    decisions: int  # asked in one measurement of a latency
    memory_requests: int


QUICK = Scale(rounds=5, seconds=1, decisions=250, memory_requests=10_000)
FULL = Scale(rounds=15, seconds=4, decisions=1000, memory_requests=200_000)


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


Finding = Measured | Table | Curve
Family = Callable[[Bench], Iterator[Finding]]


def program(name: str) -> Path:
    """Return where `name` is; ToolMissing says how to get it."""
    path = _PROGRAMS[name]
    if not path.exists():
        raise ToolMissing(f"{name} is not in .tools: benchmarks/prepare-tools.sh")
    return path
