"""Connections to upstreams: a pool, and fresh ones for when a pooled one or a remembered address may be out of date."""

from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from router_proxy.request.headers import keep_bytes

# Below uvicorn's 5 s, so that vLLM seldom closes a connection just as the next request goes out on it.
_KEEPALIVE_SECONDS = 4
# aiohttp would add these on its own where the client sent none.
_SKIPPED_HEADERS = frozenset({"Accept", "Accept-Encoding", "User-Agent", "Content-Type"})


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The connection that a request went out on."""

    protocol: ResponseHandler
    was_used: bool

    @property
    def was_reset(self) -> bool:
        """Whether the far end broke it off instead of closing it."""
        return isinstance(self.protocol.exception(), aiohttp.ClientOSError)


_LINE: ContextVar[Line | None] = ContextVar("line", default=None)


class Connections:
    """Two sessions. `pooled` is the usual one; `fresh` connects anew and resolves the name anew, each time."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._pool = _Pool(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS, resolver=resolver)
        self.pooled = _session(self._pool)
        self.fresh = _session(_Connector(limit=0, force_close=True, use_dns_cache=False, resolver=resolver))

    async def close(self) -> None:
        await self.pooled.close()
        await self.fresh.close()

    def forget_address(self, url: URL) -> None:
        """Resolve the name in `url` again for the next connection."""
        if url.host is not None and url.port is not None:
            self._pool.clear_dns_cache(url.host, url.port)


def begin_line() -> None:
    """Forget the line of an earlier request of this task."""
    _LINE.set(None)


def current_line() -> Line | None:
    """Return the connection that this task's last request went out on, or None when there was none to be had."""
    return _LINE.get()


class _Connector(aiohttp.TCPConnector):
    """Tells the task that asks for a connection which one it got."""

    async def connect(self, *arguments: Any, **named: Any) -> Any:
        connection = await super().connect(*arguments, **named)
        if connection.protocol is not None:
            self._note(connection.protocol)
        return connection

    def _note(self, protocol: ResponseHandler) -> None:
        _LINE.set(Line(protocol=protocol, was_used=False))


class _Pool(_Connector):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._used: WeakSet[ResponseHandler] = WeakSet()

    def _note(self, protocol: ResponseHandler) -> None:
        _LINE.set(Line(protocol=protocol, was_used=protocol in self._used))
        self._used.add(protocol)


class _Request(aiohttp.ClientRequest):
    """A request whose header values go out as the bytes they came as."""

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        keep_bytes(writer, self.headers)
        await super().write_bytes(writer, conn, content_length)


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        request_class=_Request,
        connector=connector,
        auto_decompress=False,
        skip_auto_headers=_SKIPPED_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
