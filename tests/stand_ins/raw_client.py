"""A client that speaks bytes, for what no HTTP library would send."""

import asyncio
import json
from typing import Any

import msgspec


class RawAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it came: `headers` by their names in lower case."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


class RawClient:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, *pieces: bytes) -> None:
        self._writer.write(b"".join(pieces))

    async def answer(self) -> RawAnswer:
        """Return the next answer, delimited by its length or by the end of the connection."""
        async with asyncio.timeout(60):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self._body(headers)
        version, status, *_ = status_line.split(" ")
        return RawAnswer(version=version, status=int(status), headers=headers, body=body)

    async def answer_if_any(self) -> RawAnswer | None:
        """Return the next answer, or None when the connection ended without another."""
        try:
            return await self.answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def closed(self) -> bytes:
        """Return what comes until the other side closes the connection."""
        async with asyncio.timeout(60):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""
            finally:
                self.close()

    async def begun(self) -> bytes:
        """Return the head of an answer, or what comes before it."""
        async with asyncio.timeout(60):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def head_if_any(self) -> bytes:
        """Return the head of the next answer, or nothing when the connection ended without one."""
        try:
            return await self.begun()
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    def close(self) -> None:
        self._writer.close()

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return await self._reader.read()


async def connect(url: str) -> RawClient:
    host, _, port = url.removeprefix("http://").strip("/").partition(":")
    return RawClient(*await asyncio.open_connection(host, int(port)))


async def exchange(url: str, *pieces: bytes) -> RawAnswer:
    """Send bytes on a connection of their own and return the answer."""
    client = await connect(url)
    try:
        client.send(*pieces)
        return await client.answer()
    finally:
        client.close()


def post(path: str, body: bytes, *lines: bytes) -> bytes:
    """Return a whole request with `lines` among its head's."""
    head = [b"POST %s HTTP/1.1" % path.encode(), b"Host: here", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join([*head, b"", body])
