"""The least an aiohttp proxy can do, for scale: pass a request on and its answer back, no routing, log or metrics.

Run: python -m benchmarks.instruments.plain_proxy PORT UPSTREAM_PORT
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

_SESSION = web.AppKey("session", aiohttp.ClientSession)


def make_app(upstream: int) -> web.Application:
    async def pass_on(request: web.Request) -> web.Response:
        url = f"http://127.0.0.1:{upstream}{request.path_qs}"
        headers = {"Content-Type": request.content_type}
        async with request.app[_SESSION].request(
            request.method, url, data=await request.read(), headers=headers
        ) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pass_on)
    app.cleanup_ctx.append(_open_session)
    return app


async def _open_session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app[_SESSION] = session
        yield


async def _serve(port: int, upstream: int) -> None:
    runner = web.AppRunner(make_app(upstream), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as running:
        running.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
