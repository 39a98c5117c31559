"""Clients that read streams of stamped tokens and note how long each was on its way."""

import asyncio
import time
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.errors import MeasurementFailed

from .deadline import run_apart
from .servers import MODEL
from .token_server import MARK, PACE_SECONDS

_BODY = msgspec.json.encode({"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Hello"}]})
_REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """Medians in milliseconds: to the first token, how far gaps between tokens are from the pace, a token's way."""

    first_ms: float
    jitter_ms: float
    on_the_way_ms: float


class TokenClient(asyncio.Protocol):
    """One client: asks, reads to the end, asks again. Delays are in seconds."""

    def __init__(self) -> None:
        self.first: list[float] = []
        self.gaps: list[float] = []
        self.on_the_way: list[float] = []
        self._last: float | None = None
        self._asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass of it
        self._ask()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        for token in data.split(MARK)[1:]:
            self._token(now / 1e9, int(token[: token.index(b"\n")]) / 1e9)
        if data.endswith(b"0\r\n\r\n"):
            self._ask()

    def _token(self, now: float, sent: float) -> None:
        self.on_the_way.append(now - sent)
        if self._last is None:
            self.first.append(now - self._asked)
        else:
            self.gaps.append(now - self._last)
        self._last = now

    def _ask(self) -> None:
        self._last = None
        self._asked = time.monotonic_ns() / 1e9
        self._transport.write(_REQUEST)


def read_streams(port: int, *, clients: int, seconds: float, stalled: int = 0) -> Streams:
    """Keep `clients` streams open for `seconds`, beside `stalled` clients that ask and never read."""
    return summarize(run_apart(_read(port, clients, seconds, stalled)))


def summarize(readers: list[TokenClient]) -> Streams:
    first = np.array([value for reader in readers for value in reader.first])
    gaps = np.array([value for reader in readers for value in reader.gaps])
    on_the_way = np.array([value for reader in readers for value in reader.on_the_way])
    if not len(gaps):
        raise MeasurementFailed("streams: no token arrived")
    return Streams(
        first_ms=_median_ms(first),
        jitter_ms=_median_ms(np.abs(gaps - PACE_SECONDS)),
        on_the_way_ms=_median_ms(on_the_way),
    )


def _median_ms(values: npt.NDArray[np.float64]) -> float:
    return float(np.median(values)) * 1000


async def _read(port: int, clients: int, seconds: float, stalled: int) -> list[TokenClient]:
    loop = asyncio.get_running_loop()
    opened: list[asyncio.Transport] = []
    readers: list[TokenClient] = []
    for index in range(stalled + clients):
        transport, reader = await loop.create_connection(TokenClient, "127.0.0.1", port)
        opened.append(transport)
        if index < stalled:
            transport.pause_reading()
        else:
            readers.append(reader)
        await asyncio.sleep(PACE_SECONDS * 20 / clients)  # arrivals spread over a second
    await asyncio.sleep(seconds)
    for transport in opened:
        transport.abort()
    return readers
