"""An upstream that streams: each answer is so many tokens at a steady pace, each stamped with when it was sent.

Run: python -m benchmarks.instruments.token_server PORT
Clocks are CLOCK_MONOTONIC, the same for every process of the machine.
"""

import asyncio
import sys
import time
from typing import cast

import uvloop

TOKENS = 40
PACE_SECONDS = 0.05
MARK = b"data: @"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"
_MODELS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n" + b'{"object":"list","data":[]}'
)


class TokenServer(asyncio.Protocol):
    """Answers every POST with a stream, and anything else with an empty list of models."""

    def __init__(self) -> None:
        self._received = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < body_bytes(head):
            return
        self._received = b""
        if not head.startswith(b"POST"):
            self._transport.write(_MODELS)
            return
        self._transport.write(_HEAD)
        self._left = TOKENS
        self._send()

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        if not self._left:
            self._transport.write(_END)
            return
        self._left -= 1
        event = MARK + b"%d\n\n" % time.monotonic_ns()
        self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))
        asyncio.get_running_loop().call_later(PACE_SECONDS, self._send)


def body_bytes(head: bytes) -> int:
    """Read Content-Length from a request's head; 0 when it states none."""
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(TokenServer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
