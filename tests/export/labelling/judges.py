"""A real server that speaks the part of the OpenAI API that a judge needs, and answers as a test tells it to."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

Answer = Callable[[str], str | web.Response]


class JudgeServer:
    """Keeps what it was asked; `answer` gets the prompt and returns a label or a whole response."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.url = ""
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    async def complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("Authorization"))
        prompt = body["messages"][-1]["content"].removeprefix("<prompt>\n").removesuffix("\n</prompt>")
        answer = self.answer(prompt)
        if isinstance(answer, web.Response):
            return answer
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": answer}}]})

    async def serve(self, started: Callable[[], None], stop: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.complete)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        started()
        await stop.wait()
        await runner.cleanup()


@contextmanager
def running_judge(answer: Answer) -> Iterator[JudgeServer]:
    """Serve in a thread of its own: the commands that ask have their own event loop."""
    judge, ready, stop, loop = JudgeServer(answer), threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(judge.serve(ready.set, stop),))
    thread.start()
    ready.wait()
    try:
        yield judge
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
