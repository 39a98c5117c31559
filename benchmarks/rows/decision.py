"""A decision through Triton beside the same tokenizer and session called in-process."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.instruments.in_process import InProcess, served_threads
from benchmarks.instruments.perf_analyzer import Client
from benchmarks.instruments.prompts import MIXED_TOKENS, prompts_of, write_input
from benchmarks.instruments.servers import triton
from benchmarks.instruments.triton_statistics import cells, read_totals
from benchmarks.table.bench import Bench, Finding, Table
from benchmarks.table.goals import Measured
from benchmarks.table.machine import CHECKOUT
from benchmarks.table.rounds import call, interleave, ratio, summary

ROUTER = "semantic_router"
CLASSIFIER = "reasoning_classifier"
DIRECTORY = CHECKOUT / "model_repository" / CLASSIFIER
LENGTHS = (16, 64)
CLIENTS = (16, 32)
_BATCHES = (1, 8, 32)
PROMPTS = 10 * len(MIXED_TOKENS)


def measure(bench: Bench) -> Iterator[Finding]:
    stages: list[list[str]] = []
    with triton(bench.scratch) as server:
        client = Client(server.ports.grpc, bench.scratch)
        with _staged(server.ports.http, "1", stages):
            yield from _latency(bench, client, InProcess(DIRECTORY, served_threads(DIRECTORY)))
        with _staged(server.ports.http, " and ".join(map(str, CLIENTS)), stages):
            yield from _rate(bench, client)
    yield Table(
        title="Where the time of a decision goes, by Triton's statistics (mean µs a request)",
        headings=["clients", "model", "mean batch", "queue", "input", "compute", "output"],
        rows=stages,
    )


@contextmanager
def _staged(http_port: int, clients: str, rows: list[list[str]]) -> Iterator[None]:
    """Add to `rows` what Triton counts in the block."""
    before = {model: read_totals(http_port, model) for model in (ROUTER, CLASSIFIER)}
    yield
    rows += [[clients, model, *cells(before[model], read_totals(http_port, model))] for model in before]


def _latency(bench: Bench, client: Client, direct: InProcess) -> Iterator[Finding]:
    for tokens in LENGTHS:
        prompts = prompts_of(direct.tokenizer, (tokens,), 50)
        inputs = write_input(prompts, bench.scratch / f"{tokens}-tokens.json")
        asked = bench.scale.requests(client.median_us(ROUTER, inputs, 100))
        ways: dict[str, Callable[[], float]] = {
            "direct": partial(direct.median_us, prompts, asked),
            "triton": partial(client.median_us, ROUTER, inputs, asked),
        }
        found = interleave(ways, call, bench.scale.rounds)
        detail = f"{summary(found['triton']).value / 1000:.2f} against {summary(found['direct']).value / 1000:.2f} ms"
        yield Measured(key=f"decision.p50-{tokens}", value=ratio(found["triton"], found["direct"]), detail=detail)


def _rate(bench: Bench, client: Client) -> Iterator[Finding]:
    prompts = prompts_of(InProcess(DIRECTORY, 1).tokenizer, MIXED_TOKENS, PROMPTS)
    inputs = write_input(prompts, bench.scratch / "mixed.json")
    name, direct = best_way(_ways_in_process(prompts, bench.scale.seconds))
    requests = round(direct() * bench.scale.seconds)
    ways = {"direct": direct}
    ways |= {str(clients): partial(client.rate, ROUTER, inputs, clients, requests) for clients in CLIENTS}
    found = interleave(ways, call, bench.scale.rounds)
    for clients in CLIENTS:
        detail = f"{summary(found[str(clients)]).value:.0f} against {summary(found['direct']).value:.0f} a second"
        value = ratio(found[str(clients)], found["direct"])
        yield Measured(key=f"decision.rate-{clients}", value=value, detail=f"{detail}, in-process: {name}")


def _ways_in_process(prompts: list[str], seconds: float) -> dict[str, Callable[[], float]]:
    """Return every way to keep all cores busy: one call on all of them, or one call on each."""
    cores = len(os.sched_getaffinity(0))
    together, apart = InProcess(DIRECTORY, cores), InProcess(DIRECTORY, 1)
    ways: dict[str, Callable[[], float]] = {}
    for batch in _BATCHES:
        ways[f"batch {batch} on all cores"] = partial(together.rate, prompts, batch, seconds)
        ways[f"batch {batch} on each core"] = partial(apart.rate, prompts, batch, seconds, cores)
    return ways


def best_way(ways: Mapping[str, Callable[[], float]]) -> tuple[str, Callable[[], float]]:
    """Try each once and return the fastest."""
    rates = {name: way() for name, way in ways.items()}
    name = max(rates, key=lambda each: rates[each])
    return name, ways[name]


def mixed_input(folder: Path) -> Path:
    """Write prompts of mixed lengths for perf_analyzer."""
    tokenizer = InProcess(DIRECTORY, 1).tokenizer
    return write_input(prompts_of(tokenizer, MIXED_TOKENS, PROMPTS), folder / "mixed.json")
