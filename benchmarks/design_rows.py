"""Three ways to put a router into Triton, in one server: a naive BLS model, an ensemble of three steps, and ours."""

from collections.abc import Iterator
from pathlib import Path

from .bench import Bench, Finding, Table
from .decision_rows import CLASSIFIER, ROUTER
from .goals import Measured
from .in_process import InProcess
from .machine import CHECKOUT
from .perf_analyzer import Client, Report
from .prompts import MIXED_TOKENS, prompts_of, write_input
from .rounds import interleave, ratio, summary
from .servers import triton
from .triton_statistics import Stage, Totals, read_totals, stage

_DESIGNS = {
    "naive": ("naive BLS", "naive_router", ("naive_router",)),
    "split": ("ensemble of three steps", "split_router", ("split_tokenize", "split_decide")),
    "ours": ("ours", ROUTER, (ROUTER,)),
}
_CLIENTS = 16
_OPEN_SHARE = 0.5  # of what ours does at most: an arrival rate that a server should bear without a queue


def measure(bench: Bench) -> Iterator[Finding]:
    tokenizer = InProcess(CHECKOUT / "model_repository" / CLASSIFIER, 1).tokenizer
    inputs = write_input(prompts_of(tokenizer, MIXED_TOKENS, 260), bench.scratch / "mixed.json")
    with triton(bench.scratch, ("naive", "split")) as server:
        client = Client(server.ports.grpc, bench.scratch)
        one = {key: client.closed(model, inputs, 1, bench.scale.decisions) for key, (_, model, _) in _DESIGNS.items()}
        requests = round(one["ours"].rate(1) * 2 * bench.scale.seconds)
        found = interleave(
            {key: model for key, (_, model, _) in _DESIGNS.items()},
            lambda model: client.rate(model, inputs, _CLIENTS, requests),
            bench.scale.rounds,
        )
        for key in ("naive", "split"):
            detail = f"{summary(found['ours']).value:.0f} against {summary(found[key]).value:.0f} a second"
            yield Measured(key=f"designs.{key}", value=ratio(found["ours"], found[key]), detail=detail)
        rate = summary(found["ours"]).value * _OPEN_SHARE
        opened = {key: client.open(model, inputs, rate, requests) for key, (_, model, _) in _DESIGNS.items()}
        yield _speeds(one, {key: summary(values).value for key, values in found.items()}, opened, rate)
        yield _stages(server.ports.http, client, inputs=inputs, requests=requests)


def _speeds(one: dict[str, Report], rates: dict[str, float], opened: dict[str, Report], rate: float) -> Table:
    return Table(
        title=f"Three designs of the router; open loop: Poisson arrivals, {rate:.0f} a second",
        headings=["design", "1 client, p50 ms", f"{_CLIENTS} clients, decisions/s", "open loop, p50 ms", "p99 ms"],
        rows=[
            [
                name,
                f"{one[key].p50_us / 1000:.2f}",
                f"{rates[key]:.0f}",
                f"{opened[key].p50_us / 1000:.2f}",
                f"{opened[key].p99_us / 1000:.2f}",
            ]
            for key, (name, _, _) in _DESIGNS.items()
        ],
    )


def _stages(http_port: int, client: Client, *, inputs: Path, requests: int) -> Table:
    rows = []
    for name, model, own in _DESIGNS.values():
        parts = (*own, CLASSIFIER)
        before = {part: read_totals(http_port, part) for part in parts}
        client.closed(model, inputs, _CLIENTS, requests)
        rows += [[name, part, *_cells(before[part], read_totals(http_port, part))] for part in parts]
    return Table(
        title=f"Where the time goes in each, {_CLIENTS} clients, by Triton's statistics (mean µs a request)",
        headings=["design", "model", "mean batch", "queue", "input", "compute", "output"],
        rows=rows,
    )


def _cells(before: Totals, after: Totals) -> list[str]:
    found: Stage = stage(before, after)
    return [f"{found.batch:.1f}", *(f"{value:.0f}" for value in found.microseconds.values())]
