"""What a decision and a proxied request cost as prompts, rules, labels and upstreams grow."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.instruments.perf_analyzer import Client
from benchmarks.instruments.prompts import text_of_bytes, write_input
from benchmarks.instruments.servers import MODEL, Server, fast_upstream, our_proxy, triton, upstreams_file
from benchmarks.instruments.wrk import load
from benchmarks.table.bench import Bench, Curve, Finding
from benchmarks.table.goals import Measured
from benchmarks.table.rounds import exponent, interleave, summary
from routing_policy.decision import decide
from routing_policy.policy import Policy
from routing_policy.policy_file import load_policy

from .decision import ROUTER

_PROMPT_BYTES = (100, 400, 1600, 6400, 16_000, 32_000, 64_000)
_WINDOW_BYTES = 6400  # more than 256 tokens of any of these texts
_COUNTS = (2, 10, 50, 200)
_LABEL_COUNTS = (2, 10, 30, 100)
_DECISIONS = 500
_REPEATS = 5
_ROUNDS = 3


def measure(bench: Bench) -> Iterator[Finding]:
    yield from _row("growth.rules", ("rules", "µs a decision"), _COUNTS, _rules(bench.scratch))
    yield from _row("growth.labels", ("labels", "µs a decision"), _LABEL_COUNTS, _labels(bench.scratch))
    yield from _prompts(bench)
    yield from _upstreams(bench)


def _prompts(bench: Bench) -> Iterator[Finding]:
    inputs = {size: write_input([text_of_bytes(size)], bench.scratch / f"{size}.json") for size in _PROMPT_BYTES}
    with triton(bench.scratch) as server:
        client = Client(server.ports.grpc, bench.scratch)
        asked = {size: bench.scale.requests(client.median_us(ROUTER, file, 20)) for size, file in inputs.items()}

        def cost(size: int) -> float:
            return client.median_us(ROUTER, inputs[size], asked[size])

        costs = _costs(_PROMPT_BYTES, cost)
    yield from _row("growth.prompt", ("bytes of prompt", "µs a decision, p50"), _PROMPT_BYTES, costs)
    beyond = [
        (most - window) * 1000 / (_PROMPT_BYTES[-1] - _WINDOW_BYTES)
        for most, window in zip(costs[-1], costs[_PROMPT_BYTES.index(_WINDOW_BYTES)], strict=True)
    ]
    yield Measured(key="growth.window", value=summary(beyond))


def _upstreams(bench: Bench) -> Iterator[Finding]:
    with fast_upstream(bench.scratch) as behind, ExitStack() as running:
        proxies: dict[int, Server] = {}
        for count in _COUNTS:
            names = [MODEL, *(f"organisation/model-{index}" for index in range(count - 1))]
            file = bench.scratch / f"{count}.yaml"
            file.write_bytes(upstreams_file(names, behind.port))
            proxies[count] = running.enter_context(
                our_proxy(bench.scratch, behind.port, f"upstreams-{count}", upstreams=str(file))
            )
        costs = _costs(_COUNTS, lambda count: load(proxies[count].port, connections=1, seconds=1).p50_us)
    yield from _row("growth.upstreams", ("upstreams", "µs a request, p50"), _COUNTS, costs)


def _rules(folder: Path) -> list[list[float]]:
    """Time the policy that has to look at every rule: each could fire."""

    def cost(count: int) -> float:
        rules = [_rule(f"label-{index % 10}", 0.01) for index in range(count)]
        return _decide_us(folder, rules, {f"label-{index}": 0.1 for index in range(10)})

    return _costs(_COUNTS, cost)


def _labels(folder: Path) -> list[list[float]]:
    def cost(count: int) -> float:
        rules = [_rule(f"label-{index}", 0.001) for index in range(10)]
        return _decide_us(folder, rules, {f"label-{index}": 1 / count for index in range(max(count, 10))})

    return _costs(_LABEL_COUNTS, cost)


def _rule(label: str, min_conf: float) -> dict[str, object]:
    return {"when_any": [{"label": label, "min_conf": min_conf}], "route_onprem_model": MODEL, "rationale": label}


def _decide_us(folder: Path, rules: list[dict[str, object]], scores: dict[str, float]) -> float:
    file = folder / "policy.yaml"
    file.write_bytes(msgspec.yaml.encode({"abstain_onprem_model": MODEL, "threshold_min_conf": 0.0005, "rules": rules}))
    policy = load_policy(file)
    return min(_seconds(policy, scores) for _ in range(_REPEATS)) / _DECISIONS * 1e6


def _seconds(policy: Policy, scores: dict[str, float]) -> float:
    """Return the processor time of many decisions: the clock would count what else the machine does."""
    started = time.process_time()
    for _ in range(_DECISIONS):
        decide(policy, scores)
    return time.process_time() - started


def _costs(sizes: Sequence[int], cost: Callable[[int], float]) -> list[list[float]]:
    """Return each size's cost in every round."""
    found = interleave({str(size): size for size in sizes}, cost, _ROUNDS)
    return list(found.values())


def _row(key: str, axes: tuple[str, str], sizes: Sequence[int], costs: list[list[float]]) -> Iterator[Finding]:
    exponents = [exponent(sizes, round_) for round_ in zip(*costs, strict=True)]
    medians = [summary(each).value for each in costs]
    yield Measured(key=key, value=summary(exponents), detail=f"{medians[0]:.3g} to {medians[-1]:.3g} {axes[1]}")
    title = key.partition(".")[2]
    points = [(float(size), cost) for size, cost in zip(sizes, medians, strict=True)]
    yield Curve(title=title, size=axes[0], cost=axes[1], points=points)
