"""Three ways to put a router into Triton, in one server: a naive BLS model, an ensemble of three steps, and ours."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.errors import NotMeasured, reason_of
from benchmarks.instruments.perf_analyzer import Client, Report
from benchmarks.instruments.servers import triton
from benchmarks.instruments.triton_statistics import cells, read_totals
from benchmarks.table.bench import Bench, Finding, Table
from benchmarks.table.goals import Measured, Missing
from benchmarks.table.rounds import ratio, summary

from .decision import CLASSIFIER, ROUTER, mixed_input


class Design(msgspec.Struct, frozen=True, kw_only=True):
    """The Triton model that clients ask, and the models it is made of besides the classifier."""

    name: str
    model: str
    own: tuple[str, ...]


Answer = TypeVar("Answer")
_OURS = "ours"
_DESIGNS = {
    "naive": Design(name="naive BLS", model="naive_router", own=("naive_router",)),
    "split": Design(name="ensemble of three steps", model="split_router", own=("split_tokenize", "split_decide")),
    _OURS: Design(name="ours", model=ROUTER, own=(ROUTER,)),
}
_CLIENTS = 16
_OPEN_SHARE = 0.5  # of what ours does at most: an arrival rate that a server should bear without a queue

_OPEN_REQUESTS = 250  # fewer than semantic_router's queue takes, so that none is refused


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What each design answered to the same loads; a design that failed under one is not in it, but in `failures`."""

    one: dict[str, Report]
    many: dict[str, list[float]]
    opened: dict[str, Report]
    open_rate: float
    stages: dict[str, list[list[str]]]
    failures: dict[str, str]


def measure(bench: Bench) -> Iterator[Finding]:
    inputs = mixed_input(bench.scratch)
    with triton(bench.scratch, ("naive", "split")) as server:
        asked = _ask(bench, Client(server.ports.grpc, bench.scratch), server.ports.http, inputs)
    for key in ("naive", "split"):
        if key in asked.failures:
            yield Missing(key=f"designs.{key}", reason=asked.failures[key])
        else:
            detail = f"{summary(asked.many[_OURS]).value:.0f} against {summary(asked.many[key]).value:.0f} a second"
            yield Measured(key=f"designs.{key}", value=ratio(asked.many[_OURS], asked.many[key]), detail=detail)
    yield _speeds(asked)
    yield Table(
        title=f"Where the time goes in each, {_CLIENTS} clients, by Triton's statistics (mean µs a request)",
        headings=["design", "model", "mean batch", "queue", "input", "compute", "output"],
        rows=[row for rows in asked.stages.values() for row in rows],
    )


def _ask(bench: Bench, client: Client, http_port: int, inputs: Path) -> Asked:
    failures: dict[str, str] = {}
    one = _each(failures, lambda design: client.closed(design.model, inputs, 1, 100))
    requests = bench.scale.requests(one[_OURS].p50_us)

    def closed(design: Design) -> Report:
        return client.closed(design.model, inputs, _CLIENTS, requests)

    rounds = [_each(failures, closed) for _ in range(bench.scale.rounds)]
    many = {key: [each[key].rate for each in rounds] for key in rounds[-1]}
    rate = summary(many[_OURS]).value * _OPEN_SHARE
    fewer = min(requests, _OPEN_REQUESTS)
    opened = _each(failures, lambda design: client.open(design.model, inputs, rate, fewer))
    stages = _each(failures, lambda design: _stages(http_port, design, partial(closed, design)))
    return Asked(one=one, many=many, opened=opened, open_rate=rate, stages=stages, failures=failures)


def _each(failures: dict[str, str], ask: Callable[[Design], Answer]) -> dict[str, Answer]:
    """Ask each design in turn; another than ours that fails is left out from then on, and `failures` says why."""
    answers: dict[str, Answer] = {}
    for key, design in _DESIGNS.items():
        if key in failures:
            continue
        try:
            answers[key] = ask(design)
        except NotMeasured as exc:
            if key == _OURS:
                raise
            failures[key] = reason_of(exc)
    return answers


def _stages(http_port: int, design: Design, load: Callable[[], Report]) -> list[list[str]]:
    parts = (*design.own, CLASSIFIER)
    before = {part: read_totals(http_port, part) for part in parts}
    load()
    return [[design.name, part, *cells(before[part], read_totals(http_port, part))] for part in parts]


def _speeds(asked: Asked) -> Table:
    return Table(
        title=f"Three designs of the router; open loop: Poisson arrivals, {asked.open_rate:.0f} a second",
        headings=["design", "1 client, p50 ms", f"{_CLIENTS} clients, decisions/s", "open loop, p50 ms", "p99 ms"],
        rows=[
            [
                _DESIGNS[key].name,
                f"{asked.one[key].p50_us / 1000:.2f}",
                f"{summary(asked.many[key]).value:.0f}",
                f"{asked.opened[key].p50_us / 1000:.2f}",
                f"{asked.opened[key].p99_us / 1000:.2f}",
            ]
            for key in asked.opened
        ],
    )
