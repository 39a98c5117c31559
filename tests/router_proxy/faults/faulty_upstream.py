"""An LLM server that can be killed, or told what is to go wrong with every request from now on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiohttp import web
from aiohttp.test_utils import TestServer

Fault = Literal["hung", "resetting", "500", "503", "slow"]
_SLOW_SECONDS = 0.2
_CHUNKS = 3


class FaultyUpstream:
    """Answers with a short stream. `received` counts the requests that arrived, whatever became of them.

    `left` is released for each that its client left before it was answered.
    """

    def __init__(self, left: asyncio.Semaphore) -> None:
        self.fault: Fault | None = None
        self.received = 0
        self.left = left
        self.holds_streams = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(app)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FaultyUpstream"]:
        await self._server.start_server()
        try:
            yield self
        finally:
            self.fault = None
            await self.kill()

    @property
    def url(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    async def kill(self) -> None:
        """Take no more connections and break off all that there are."""
        runner = self._server.runner
        if runner is None or runner.server is None:
            return
        for site in list(runner.sites):
            await site.stop()
        for connection in list(runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await self._server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        is_check = request.method == "GET"
        self.received += not is_check
        await request.read()
        await self._go_wrong(request)
        if self.fault in {"500", "503"} and not is_check:
            return web.json_response({"error": {"message": "broken"}}, status=int(self.fault))
        return web.json_response({"data": []}) if is_check else await self._stream(request)

    async def _go_wrong(self, request: web.Request) -> None:
        if self.fault == "hung":
            await asyncio.Event().wait()
        if self.fault == "slow":
            await asyncio.sleep(_SLOW_SECONDS)
        if self.fault == "resetting" and request.transport is not None:
            request.transport.abort()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for _ in range(_CHUNKS):
                await response.write(b"data: {}\n\n")
            if self.holds_streams.is_set():
                await asyncio.Event().wait()
            await response.write(b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.left.release()
            raise
        return response
