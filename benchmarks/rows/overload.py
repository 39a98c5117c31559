"""More requests than Triton can decide: what is decided a second, and how soon the rest goes on."""

import asyncio
import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from benchmarks.instruments.deadline import run_apart
from benchmarks.instruments.servers import fast_upstream, our_proxy, triton
from benchmarks.table.bench import Bench, Finding, Table
from benchmarks.table.goals import Measured
from benchmarks.table.machine import CHECKOUT
from benchmarks.table.rounds import summary

WORKERS = 2
_CLIENTS = (4, 8, 16)
_TIMES_CAPACITY = (1.0, 1.5, 3.0, 10.0)
_OVERLOADED = 1.5  # from here on the marks hold
_DECIDED = frozenset({"routed", "abstained"})
_HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nX-Dynamo-Routing: auto\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
_OUTCOME = re.compile(rb"\r\nx-semrouter-outcome: (\w+)")
_INPUT = CHECKOUT / "benchmarks" / "inputs" / "mixed.json"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How one request ended."""

    outcome: str
    milliseconds: float


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a client saw in `seconds` of load."""

    ended: list[Ended]
    seconds: float

    @property
    def decided_a_second(self) -> float:
        return len(self._took(decided=True)) / self.seconds

    def p99_ms(self, *, decided: bool) -> float:
        took = self._took(decided=decided)
        return float(np.percentile(took, 99)) if took else 0.0

    def p50_ms(self, *, decided: bool) -> float:
        took = self._took(decided=decided)
        return float(np.percentile(took, 50)) if took else 0.0

    def _took(self, *, decided: bool) -> list[float]:
        return [each.milliseconds for each in self.ended if (each.outcome in _DECIDED) == decided]


def measure(bench: Bench) -> Iterator[Finding]:
    texts = _new_texts()
    seconds = 10 * bench.scale.seconds
    with fast_upstream(bench.scratch) as upstream, triton(bench.scratch) as server:
        variables = {"enabled": "true", "triton_url": f"127.0.0.1:{server.ports.grpc}", "workers": str(WORKERS)}
        with our_proxy(bench.scratch, upstream.port, **variables) as proxy:
            run_apart(_closed_loop(proxy.port, texts, clients=8, seconds=3))  # until it is warm
            peak = max(
                run_apart(_closed_loop(proxy.port, texts, clients=clients, seconds=seconds // 2)).decided_a_second
                for clients in _CLIENTS
            )
            loads = {
                times: run_apart(_open_loop(proxy.port, texts, rate=times * peak, seconds=seconds))
                for times in _TIMES_CAPACITY
            }
    yield from _findings(peak, loads)


def _findings(peak: float, loads: dict[float, Seen]) -> Iterator[Finding]:
    over = [seen for times, seen in loads.items() if times >= _OVERLOADED]
    shares = [seen.decided_a_second / peak for seen in over]
    yield Measured(key="overload.decided", value=summary(shares), detail=f"{peak:.0f} a second at most")
    yield Measured(key="overload.p99", value=summary([seen.p99_ms(decided=True) for seen in over]))
    yield Measured(key="overload.rest", value=summary([seen.p99_ms(decided=False) for seen in over]))
    yield Table(
        title=f"Under more load than Triton can decide: {peak:.0f} decisions a second at most",
        headings=["x capacity", "decided/s", "of the most", "p50, p99, ms", "of the rest", "how the rest ended"],
        rows=[_row(times, seen, peak) for times, seen in loads.items()],
    )


def _row(times: float, seen: Seen, peak: float) -> list[str]:
    took = [f"{seen.p50_ms(decided=each):.0f}, {seen.p99_ms(decided=each):.0f}" for each in (True, False)]
    counted = Counter(each.outcome for each in seen.ended if each.outcome not in _DECIDED)
    rest = ", ".join(f"{outcome} {count}" for outcome, count in counted.most_common())
    return [f"{times:g}", f"{seen.decided_a_second:.0f}", f"{seen.decided_a_second / peak:.2f}", *took, rest]


def _new_texts() -> Iterator[str]:
    """Yield prompts of mixed lengths, each new to any cache."""
    texts: Sequence[str] = [row["text"][0] for row in msgspec.json.decode(_INPUT.read_bytes())["data"]]
    for number, text in enumerate(itertools.cycle(texts)):
        yield f"{time.time_ns():x}{number} {text}"


async def _closed_loop(port: int, texts: Iterator[str], *, clients: int, seconds: float) -> Seen:
    ended: list[Ended] = []
    end = time.perf_counter() + seconds
    lines = Lines(port)

    async def keep_asking() -> None:
        while time.perf_counter() < end:
            ended.append(await lines.ask(next(texts)))

    await asyncio.gather(*(keep_asking() for _ in range(clients)))
    return Seen(ended=ended, seconds=seconds)


async def _open_loop(port: int, texts: Iterator[str], *, rate: float, seconds: float) -> Seen:
    """Send requests at a steady rate, whether or not earlier ones were answered."""
    lines = Lines(port)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        asked = []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(began + number / rate - time.perf_counter())
            asked.append(group.create_task(lines.ask(next(texts))))
    return Seen(ended=[each.result() for each in asked], seconds=time.perf_counter() - began)


class Lines:
    """Connections to a proxy, reused; they cost next to nothing on a machine that is being measured."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, text: str) -> Ended:
        started = time.perf_counter()
        try:
            outcome = await self._exchange(text)
        except (OSError, asyncio.IncompleteReadError):
            outcome = "no answer"
        return Ended(outcome=outcome, milliseconds=(time.perf_counter() - started) * 1000)

    async def _exchange(self, text: str) -> str:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        body = msgspec.json.encode({"model": "router", "messages": [{"role": "user", "content": text}]})
        writer.write(_HEAD % len(body) + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = _LENGTH.search(head)
        await reader.readexactly(int(length[1]) if length else 0)
        self._idle.append((reader, writer))
        outcome = _OUTCOME.search(head)
        return outcome[1].decode() if outcome else "unknown"
