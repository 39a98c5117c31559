"""A stand-in LLM server for trying the router: answers every routed path with its own model name."""

import asyncio
import json
from functools import partial
from typing import Any

from aiohttp import web

from .demo_answers import SHAPES, Shape, Told, stream_lines

MODELS = web.AppKey("models", list[str])
_WORD_SECONDS = 0.02  # a pace at which a person sees it stream


def make_app(models: list[str]) -> web.Application:
    """Build a server for `models`."""
    app = web.Application(client_max_size=64 * 1024**2)
    app[MODELS] = models
    app.router.add_get("/v1/models", list_models)
    app.add_routes([web.post(path, partial(answer, shape)) for path, shape in SHAPES.items()])
    return app


async def list_models(request: web.Request) -> web.Response:
    entries = [{"id": model, "object": "model", "owned_by": "demo"} for model in request.app[MODELS]]
    return web.json_response({"object": "list", "data": entries})


async def answer(shape: Shape, request: web.Request) -> web.StreamResponse:
    body = await _read_body(request, shape)
    if isinstance(body, web.Response):
        return body
    if body["model"] not in request.app[MODELS]:
        return _error(404, f"The model {body['model']!r} does not exist", "model_not_found")
    told = Told(body=body, words=f"This is {body['model']}, the demo upstream that was asked.".split(" "))
    return await _stream(request, shape, told) if body.get("stream") else web.json_response(shape.whole(told))


async def _read_body(request: web.Request, shape: Shape) -> dict[str, Any] | web.Response:
    try:
        body = json.loads(await request.read())
    except ValueError as exc:
        return _error(400, f"body: expected JSON: {exc}", "invalid_json")
    if not isinstance(body, dict) or "model" not in body or not isinstance(body.get(shape.needs), list | str):
        return _error(400, f"body: expected an object with `model` and `{shape.needs}`", "invalid_request")
    return body


async def _stream(request: web.Request, shape: Shape, told: Told) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in shape.events(told):
        await response.write(stream_lines(event))
        await asyncio.sleep(_WORD_SECONDS)
    if "completions" in request.path:
        await response.write(b"data: [DONE]\n\n")
    return response


def _error(status: int, message: str, code: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)
