"""What a staged failure has to play with, and what the client saw of it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec

from tests.stand_ins.triton import StandInTriton

from .conftest import GENERAL, Answer, Proxy, StartProxy, StartRaw, StartUpstream

STREAMED = {"model": GENERAL, "stream": True}
CHAT = "/v1/chat/completions"


class Measured(Protocol):
    async def metrics(self) -> str:
        """Return what /metrics says."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a staged failure: `answer` is None where the client got none that was whole."""

    proxy: Measured
    answer: Answer | None


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    start_proxy: StartProxy
    start_raw: StartRaw
    start_upstream: StartUpstream
    triton: StandInTriton
    triton_url: str
    gone_url: str
    directory: Path

    async def proxy(self, upstreams: dict[str, Any] | None = None, /, **variables: str) -> Proxy:
        """Start a proxy with `upstreams` merged into the usual file."""
        return await self.start_proxy(self.triton_url, {"upstreams": upstreams or {}}, **variables)

    async def proxy_with(self, form: dict[str, Any], **variables: str) -> Proxy:
        """Start a proxy with `form` merged into the usual file at its top."""
        return await self.start_proxy(self.triton_url, form, **variables)


Stage = Callable[[Scene], Awaitable[Seen]]


async def read_stream(proxy: Proxy) -> Answer | None:
    """Return None once the stream asked for turns out to be cut off."""
    async with proxy.client.post(CHAT, json=STREAMED) as response:
        try:
            await response.read()
        except aiohttp.ClientPayloadError:
            return None
        return Answer(status=response.status, headers={}, body=None)


async def until_metric(proxy: Proxy, name: str, **labels: str) -> None:
    """Return once a metric that moves off the request path has moved."""
    async with asyncio.timeout(60):
        while not await proxy.metric(name, **labels):
            await proxy.client.get("/health/live")
