"""How much work a request makes, counted and not timed, so that what makes it more is a choice somebody wrote down."""

import asyncio
import io
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from tests.stand_ins.raw_server import JSON_HEAD, raw_server

from .conftest import EASY, GENERAL, Proxy, StartProxy
from .work_counter import Work, usual_work


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What a request, or one chunk, may add to the same without a proxy: of calls and operations see `Work`.

    `sends` are system calls, `timers` those set, `counted` updates of metrics.
    """

    calls: int
    operations: int
    sends: int
    timers: int
    counted: int


# A tenth above what was measured, so that a refactoring passes and a second decoding of the body does not. Raise these
# on purpose only, and say in the commit what the work is worth.
BOUNDS = {
    "off": Bound(calls=960, operations=310, sends=2, timers=1, counted=5),
    "auto": Bound(calls=1130, operations=510, sends=2, timers=1, counted=8),
    "shadow": Bound(calls=1140, operations=420, sends=2, timers=1, counted=11),
    "chunk": Bound(calls=116, operations=18, sends=1, timers=0, counted=0),
}
_SENDS = ("socket.send", "socket.sendmsg")
_TIMERS = ("BaseEventLoop.call_at",)
_COUNTED = ("Counter.inc", "Gauge.set", "Histogram.observe")
_ANSWER = b'{"object": "chat.completion", "usage": {"prompt_tokens": 7, "completion_tokens": 5}}'
_EVENT = b'data: {"choices": [{"delta": {"content": "word"}}]}\n\n'
_FEW, _MANY = 10, 30


class FarSide:
    """The client on one connection, and the upstream: a stream's next chunk comes when the client has read the last."""

    def __init__(self) -> None:
        self.chunks = 0
        self._read = asyncio.Semaphore(0)

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.chunks:
            writer.write(JSON_HEAD + b"Content-Length: %d\r\n\r\n" % len(_ANSWER) + _ANSWER)
            return
        writer.write(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _chunk in range(self.chunks):
            writer.write(b"%x\r\n%s\r\n" % (len(_EVENT), _EVENT))
            await self._read.acquire()
        writer.write(b"0\r\n\r\n")

    async def ask(self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> None:
        reader, writer = connection
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        if not self.chunks:
            assert await reader.readexactly(len(_ANSWER)) == _ANSWER
            return
        for _ in range(self.chunks):
            await reader.readuntil(_EVENT)
            self._read.release()
        await reader.readuntil(b"0\r\n\r\n")


@pytest.fixture
def decision_lines() -> Iterator[None]:
    """Write decision lines as the proxy does, but into nothing."""
    logger = logging.getLogger("semrouter.decisions")
    handler, level = logging.StreamHandler(io.StringIO()), logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(level)
    logger.propagate = True
    logger.removeHandler(handler)


@pytest.mark.usefixtures("decision_lines")
class TestTheWorkOfARequest:
    @pytest.fixture
    async def far_side(self) -> FarSide:
        return FarSide()

    @pytest.fixture
    async def upstream_url(self, far_side: FarSide) -> AsyncIterator[str]:
        async with raw_server(far_side.serve) as url:
            yield url

    @pytest.fixture
    async def proxy(self, start_proxy: StartProxy, stand_in_url: str, upstream_url: str) -> Proxy:
        patient = {"connect": 60}  # counted, not timed: a machine that is busy elsewhere is no failure
        endpoint = {"endpoints": [upstream_url], "timeouts": patient}
        proxy = await start_proxy(
            stand_in_url, {"upstreams": {GENERAL: endpoint}}, SEMROUTER_HEALTH_INTERVAL_SECONDS="3600"
        )
        stop_ticking()
        return proxy

    @pytest.mark.parametrize("mode", ["off", "auto", "shadow"])
    async def test_of_a_short_answer(self, far_side: FarSide, proxy: Proxy, upstream_url: str, mode: str) -> None:
        request = chat("router" if mode == "auto" else GENERAL, mode)
        await work(far_side, url_of(proxy), request)
        await proxy.shadow_drained()  # from here on the decision is a cached one

        added = await work(far_side, url_of(proxy), request) - await work(far_side, upstream_url, request)

        check(added, BOUNDS[mode])

    async def test_of_each_chunk_of_a_stream(self, far_side: FarSide, proxy: Proxy, upstream_url: str) -> None:
        request = chat(GENERAL, "off")

        added = await chunk_work(far_side, url_of(proxy), request) - await chunk_work(far_side, upstream_url, request)

        check(added, BOUNDS["chunk"], times=_MANY - _FEW)


def stop_ticking() -> None:
    """Stop what ticks twenty times a second beside requests: how often it does within one depends on the machine."""
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "Backlog._watch":
            task.cancel()


def chat(model: str, mode: str) -> bytes:
    body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": EASY}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nAccept: */*\r\nX-Dynamo-Routing: {mode}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def work(far_side: FarSide, url: str, request: bytes, chunks: int = 0) -> Work:
    far_side.chunks = chunks
    async with connection_to(url) as connection:
        return await usual_work(lambda: far_side.ask(connection, request))


async def chunk_work(far_side: FarSide, url: str, request: bytes) -> Work:
    """Return what a stream of many chunks costs beyond one of a few."""
    return await work(far_side, url, request, _MANY) - await work(far_side, url, request, _FEW)


@asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


def url_of(proxy: Proxy) -> str:
    return str(proxy.client.make_url("")).rstrip("/")


def check(added: Work, bound: Bound, *, times: int = 1) -> None:
    found = {
        "calls": added.calls.total(),
        "operations": added.operations.total(),
        "sends": sum(added.calls[name] for name in _SENDS),
        "timers": sum(added.calls[name] for name in _TIMERS),
        "counted": sum(added.calls[name] for name in _COUNTED),
    }
    allowed = {name: getattr(bound, name) * times for name in found}
    over = {name: f"{found[name]} > {allowed[name]}" for name in found if found[name] > allowed[name]}
    assert not over, f"{over}\n{most(added.operations, 'operations in')}\n{most(added.calls, 'calls of')}"


def most(counter: Counter[str], what: str) -> str:
    return "\n".join(f"{count:6} {what} {name}" for name, count in counter.most_common(40))
