"""A decision through Triton beside the same tokenizer and session called in-process."""

from collections.abc import Callable, Iterator
from functools import partial

from .bench import Bench, Finding, Table
from .goals import Measured
from .in_process import InProcess, served_threads
from .machine import CHECKOUT
from .perf_analyzer import Client
from .prompts import MIXED_TOKENS, prompts_of, write_input
from .rounds import interleave, ratio, summary
from .servers import triton
from .triton_statistics import read_totals, stage

ROUTER = "semantic_router"
CLASSIFIER = "reasoning_classifier"
LENGTHS = (16, 64)
CLIENTS = (16, 32)
_BATCHES = (1, 8, 32)
_PROMPTS = 260  # twenty of each mixed length


def measure(bench: Bench) -> Iterator[Finding]:
    directory = CHECKOUT / "model_repository" / CLASSIFIER
    with triton(bench.scratch) as server:
        client = Client(server.ports.grpc, bench.scratch)
        yield from _latency(bench, client, InProcess(directory, served_threads(directory)))
        before = {model: read_totals(server.ports.http, model) for model in (ROUTER, CLASSIFIER)}
        yield from _rate(bench, client, InProcess(directory, 0))
        stages = {model: stage(before[model], read_totals(server.ports.http, model)) for model in before}
        yield Table(
            title="Where the time of a decision goes at 16 and 32 clients, by Triton's statistics (mean µs a request)",
            headings=["model", "mean batch", "queue", "input", "compute", "output"],
            rows=[
                [model, f"{found.batch:.1f}", *(f"{value:.0f}" for value in found.microseconds.values())]
                for model, found in stages.items()
            ],
        )


def _latency(bench: Bench, client: Client, direct: InProcess) -> Iterator[Finding]:
    asked = bench.scale.decisions
    for tokens in LENGTHS:
        prompts = prompts_of(direct.tokenizer, (tokens,), 50)
        inputs = write_input(prompts, bench.scratch / f"{tokens}-tokens.json")
        client.closed(ROUTER, inputs, 1, asked)  # warm
        ways: dict[str, Callable[[], float]] = {
            "direct": partial(direct.median_us, prompts, asked),
            "triton": partial(client.median_us, ROUTER, inputs, asked),
        }
        found = interleave(ways, _call, bench.scale.rounds)
        detail = f"{summary(found['triton']).value / 1000:.2f} against {summary(found['direct']).value / 1000:.2f} ms"
        yield Measured(key=f"decision.p50-{tokens}", value=ratio(found["triton"], found["direct"]), detail=detail)


def _rate(bench: Bench, client: Client, direct: InProcess) -> Iterator[Finding]:
    prompts = prompts_of(direct.tokenizer, MIXED_TOKENS, _PROMPTS)
    inputs = write_input(prompts, bench.scratch / "mixed.json")
    batch = max(_BATCHES, key=lambda size: direct.rate(prompts, size, 1.0))
    requests = round(direct.rate(prompts, batch, 1.0) * bench.scale.seconds)
    ways: dict[str, Callable[[], float]] = {"direct": partial(direct.rate, prompts, batch, bench.scale.seconds)}
    ways |= {str(clients): partial(client.rate, ROUTER, inputs, clients, requests) for clients in CLIENTS}
    found = interleave(ways, _call, bench.scale.rounds)
    for clients in CLIENTS:
        detail = f"{summary(found[str(clients)]).value:.0f} against {summary(found['direct']).value:.0f} a second"
        value = ratio(found[str(clients)], found["direct"])
        yield Measured(key=f"decision.rate-{clients}", value=value, detail=f"{detail}, best batch {batch}")


def _call(way: Callable[[], float]) -> float:
    return way()
