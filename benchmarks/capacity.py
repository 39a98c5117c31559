"""What one request costs in processor time, and from that how many pods a rate needs.

Run: .venv/bin/python -m benchmarks.capacity --rate 500
Processor time is what the processes took, not what the clock showed, so a busy machine changes it little.
"""

import asyncio
import itertools
import math
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import click
import msgspec
import psutil

from benchmarks.instruments.in_process import newest_version
from benchmarks.instruments.prompts import MIXED_TOKENS, prompts_of
from benchmarks.instruments.servers import MODEL, fast_upstream, our_proxy, triton
from benchmarks.table.machine import CHECKOUT, describe_machine
from export.bundle.checkpoints import load_tokenizer
from local.stack.processes import ManagedProcess

from .errors import MeasurementFailed

_CLIENTS = 16
_WARM_UP = 200
_PROMPTS_OF_A_LENGTH = 50
_PROXY_CORES = 1  # a worker is one process
_TRITON_CORES = 2  # as docker/kubernetes/base/triton.yaml asks for
_NEXT_TO_NOTHING_MS = 0.05  # probes and metrics
_USED = 0.7  # the share of its cores that a pod should use; the rest is for bursts


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of request. `cache` is what each answer must say of itself, so that nothing else is measured unnoticed."""

    name: str
    mode: str
    model: str
    cache: str | None


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of one core for one request."""

    name: str
    proxy_ms: float
    triton_ms: float


@click.command()
@click.option("--requests", default=4000, show_default=True, help="Of each kind.")
@click.option("--rate", default=500.0, show_default=True, help="Requests a second to plan for.")
def main(*, requests: int, rate: float) -> None:
    """Measure and do the arithmetic."""
    machine = describe_machine()
    click.echo(f"{machine.processor}, {machine.cores} cores, {requests} requests of each kind, {_CLIENTS} clients\n")
    costs = _measure(requests)
    click.echo("| request | proxy, ms of a core | Triton, ms of a core | a second per core: proxy | Triton |")
    click.echo("|---|---|---|---|---|")
    for cost in costs:
        rates = f"{_per_core(cost.proxy_ms)} | {_per_core(cost.triton_ms)}"
        click.echo(f"| {cost.name} | {cost.proxy_ms:.2f} | {cost.triton_ms:.2f} | {rates} |")
    click.echo(f"\nFor {rate:g} requests a second, all of them new texts:")
    click.echo(_plan("proxy", rate, costs[-1].proxy_ms, _PROXY_CORES))
    click.echo(_plan("Triton", rate, costs[-1].triton_ms, _TRITON_CORES))


def _per_core(milliseconds: float) -> str:
    return f"{1000 / milliseconds:.0f}" if milliseconds > _NEXT_TO_NOTHING_MS else "-"


def _plan(name: str, rate: float, milliseconds: float, cores: int) -> str:
    busy = rate * milliseconds / 1000
    pods = math.ceil(busy / (cores * _USED))
    return (
        f"  {name}: {rate:g}/s x {milliseconds:.2f} ms = {busy:.2f} cores busy;"
        f" / ({cores} x {_USED:g}) = {busy / (cores * _USED):.2f}, so {pods} pods with {cores}"
    )


def _measure(requests: int) -> list[Cost]:
    kinds = (
        Load(name="mode off", mode="off", model=MODEL, cache=None),
        Load(name="routed, text seen before", mode="auto", model="router", cache="hit"),
        Load(name="routed, new text of 8 to 256 tokens", mode="auto", model="router", cache="miss"),
    )
    tokenizer = load_tokenizer(newest_version(CHECKOUT / "model_repository" / "reasoning_classifier"))
    prompts = prompts_of(tokenizer, MIXED_TOKENS, len(MIXED_TOKENS) * _PROMPTS_OF_A_LENGTH)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        upstream = running.enter_context(fast_upstream(folder))
        server = running.enter_context(triton(folder))
        variables = {
            "enabled": "true",
            "triton_url": f"127.0.0.1:{server.ports.grpc}",
            "routing_budget_ms": "2000",
            "canary_seconds": "0",
        }
        proxy = running.enter_context(our_proxy(folder, upstream.port, **variables))
        costs = []
        for kind in kinds:
            texts = _texts(kind, prompts)
            if kind.cache == "hit":  # which the first of all is not
                asyncio.run(_ask(proxy.port, msgspec.structs.replace(kind, cache="miss"), texts, 1))
            asyncio.run(_ask(proxy.port, kind, texts, _WARM_UP))
            before = _seconds_used(proxy), _seconds_used(server)
            asyncio.run(_ask(proxy.port, kind, texts, requests))
            used = _seconds_used(proxy) - before[0], _seconds_used(server) - before[1]
            proxy_ms, triton_ms = (seconds / requests * 1000 for seconds in used)
            costs.append(Cost(name=kind.name, proxy_ms=proxy_ms, triton_ms=triton_ms))
    return costs


def _texts(kind: Load, prompts: list[str]) -> Iterator[str]:
    """Yield prompts in turn: the first again and again where the cache shall answer, else each with a number."""
    if kind.cache != "miss":
        return itertools.repeat(prompts[0])
    return (f"{number} {prompt}" for number, prompt in enumerate(itertools.cycle(prompts)))


def _seconds_used(process: ManagedProcess) -> float:
    """Return the processor time that a process and its children have taken."""
    parent = psutil.Process(process.pid)
    times = [each.cpu_times() for each in (parent, *parent.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


async def _ask(port: int, kind: Load, texts: Iterator[str], requests: int) -> None:
    numbers = iter(range(requests))
    headers = {"X-Dynamo-Routing": kind.mode}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session, asyncio.TaskGroup() as clients:

        async def client() -> None:
            for _ in numbers:
                body = {"model": kind.model, "messages": [{"role": "user", "content": next(texts)}]}
                async with session.post("/v1/chat/completions", json=body, headers=headers) as answer:
                    await answer.read()
                    if answer.headers.get("x-semrouter-cache") != kind.cache:
                        raise MeasurementFailed(f"{kind.name}: {answer.status}, {dict(answer.headers)}")

        for _ in range(_CLIENTS):
            clients.create_task(client())


if __name__ == "__main__":
    main()
