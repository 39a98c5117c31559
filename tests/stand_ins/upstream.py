"""A real LLM server in miniature: answers in OpenAI's shapes and tells what it received."""

import asyncio
import base64
import json
import re
from typing import Any

from aiohttp import web


class EchoUpstream:
    """Answers any POST under /v1; `received` in each answer holds the request as it arrived here."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests_begun = 0
        self.listing = asyncio.Event()  # cleared, GET /v1/models waits
        self.listing.set()
        self.listed: asyncio.Queue[None] = asyncio.Queue()  # one item per GET /v1/models
        self.max_model_len: int | None = None
        self.refusal: tuple[int, str] | None = None  # status and message of an error to answer with
        self.cancelled = asyncio.Event()
        self.stored: set[str] = set()  # ids of Responses kept here
        self.usage: dict[str, int] | None = {"prompt_tokens": 7, "completion_tokens": 5}
        self.held = asyncio.Event()  # cleared, a stream stops after its first chunk
        self.held.set()
        self.app = web.Application(client_max_size=64 * 1024 * 1024)
        self.app.router.add_get("/v1/models", self._list)
        self.app.router.add_route("*", "/{path:.+}", self._answer)

    async def _list(self, _: web.Request) -> web.Response:
        self.listed.put_nowait(None)
        await self.listing.wait()
        model = {"id": self.name, "object": "model", "max_model_len": self.max_model_len}
        return web.json_response({"object": "list", "data": [model]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests_begun += 1
        raw = await request.read()
        asked_for = re.match(r"/v1/responses/([^/]+)", request.path)
        if asked_for and asked_for[1] not in self.stored:
            return web.json_response({"object": "error", "message": "no such response", "code": 404}, status=404)
        if self.refusal:
            status, message = self.refusal
            return web.json_response({"object": "error", "message": message, "code": status}, status=status)
        received = {
            "path": request.raw_path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": base64.b64encode(raw).decode(),
        }
        if b'"stream": true' in raw or b'"stream":true' in raw:
            return await self._stream(request)
        answer = self._shape(request.path) | {"received": received}
        if request.path == "/v1/responses":
            answer["id"] = f"resp_{len(self.stored)}_{id(self)}"
            self.stored.add(answer["id"])
        return web.json_response(answer)

    def _shape(self, path: str) -> dict[str, Any]:
        """Return an answer in the shape of the surface: Anthropic's on its paths, else OpenAI's."""
        if path == "/v1/messages/count_tokens":
            return {"model": self.name, "input_tokens": 7}
        if path == "/v1/messages":
            said = [{"type": "text", "text": f"from {self.name}"}]
            counted = {"input_tokens": 7, "output_tokens": 5}
            kind = {"id": "msg_1", "type": "message", "role": "assistant", "stop_reason": "end_turn"}
            return kind | {"model": self.name, "content": said, "usage": counted}
        return self._completion("chat.completion", "message")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await response.write(self._event("from "))
            await self.held.wait()
            await response.write(self._event(self.name))
            await response.write(f"data: {json.dumps({'choices': [], 'usage': self.usage})}\n\n".encode())
            await response.write(b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled.set()
            raise
        return response

    def _event(self, content: str) -> bytes:
        chunk = self._completion("chat.completion.chunk", "delta", content)
        return f"data: {json.dumps(chunk)}\n\n".encode()

    def _completion(self, kind: str, part: str, content: str | None = None) -> dict[str, Any]:
        message = {"role": "assistant", "content": content or f"from {self.name}"}
        choice = {"index": 0, part: message, "finish_reason": None if content else "stop"}
        answer = {"id": "chatcmpl-1", "object": kind, "created": 1, "model": self.name, "choices": [choice]}
        return answer if content else answer | {"usage": self.usage}


def body_received(answer: dict[str, Any]) -> bytes:
    """Return the bytes an EchoUpstream got, from its answer."""
    return base64.b64decode(answer["received"]["body"])
