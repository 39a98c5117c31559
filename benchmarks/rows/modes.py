"""What routing adds to the same proxy's mode off, with the real Triton behind it: a cached decision, and shadow."""

import asyncio
import itertools
import time
from collections.abc import Iterator

import aiohttp

from benchmarks.errors import MeasurementFailed
from benchmarks.instruments.deadline import run_apart
from benchmarks.instruments.servers import MODEL, fast_upstream, our_proxy, triton
from benchmarks.instruments.wrk import load
from benchmarks.table.bench import Bench, Finding
from benchmarks.table.goals import Measured
from benchmarks.table.rounds import interleave, ratio, summary

_CONNECTIONS = 16
_SHADOW_RATE = 40  # new texts a second, well below what Triton decides: shadow is for watching real traffic
_HTTP_OK = 200


def measure(bench: Bench) -> Iterator[Finding]:
    seconds = bench.scale.seconds
    with fast_upstream(bench.scratch) as upstream, triton(bench.scratch) as server:
        variables = {"enabled": "true", "triton_url": f"127.0.0.1:{server.ports.grpc}"}
        with our_proxy(bench.scratch, upstream.port, **variables) as proxy:
            found = interleave(
                {"off": ("off", MODEL), "auto": ("auto", "router")},
                lambda asked: _rate(proxy.port, *asked, seconds=seconds),
                bench.scale.rounds,
            )
            detail = f"{summary(found['auto']).value:.0f} against {summary(found['off']).value:.0f} a second"
            yield Measured(key="modes.cached", value=ratio(found["auto"], found["off"]), detail=detail)
            numbers = itertools.count()
            found = interleave(
                {"off": "off", "shadow": "shadow"},
                lambda mode: _first_byte_us(proxy.port, mode, numbers, 2 * seconds),
                bench.scale.rounds,
            )
            detail = f"{summary(found['shadow']).value:.0f} against {summary(found['off']).value:.0f} µs, "
            detail += f"{_SHADOW_RATE} new texts a second"
            yield Measured(key="modes.shadow", value=ratio(found["shadow"], found["off"]), detail=detail)


def _rate(port: int, mode: str, model: str, *, seconds: int) -> float:
    return load(port, connections=_CONNECTIONS, seconds=seconds, mode=mode, model=model).rate


def _first_byte_us(port: int, mode: str, numbers: Iterator[int], seconds: int) -> float:
    """Return the median time to the first byte of requests that come at a steady rate."""
    return summary(run_apart(_steady(port, mode, numbers, _SHADOW_RATE * seconds))).value


async def _steady(port: int, mode: str, numbers: Iterator[int], requests: int) -> list[float]:
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    began = time.perf_counter()
    took = []
    async with aiohttp.ClientSession(headers={"X-Dynamo-Routing": mode}) as session:
        for index in range(requests):
            await asyncio.sleep(began + index / _SHADOW_RATE - time.perf_counter())
            took.append(await _ask(session, url, f"What is {next(numbers)} plus {time.time_ns()}?"))
    return took


async def _ask(session: aiohttp.ClientSession, url: str, text: str) -> float:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
    started = time.perf_counter()
    async with session.post(url, json=body) as answer:
        took = (time.perf_counter() - started) * 1e6
        await answer.read()
    if answer.status != _HTTP_OK:
        raise MeasurementFailed(f"the proxy answered {answer.status}")
    return took
