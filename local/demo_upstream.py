"""A stand-in LLM server for trying the router: speaks enough of the OpenAI API to answer with its own model name."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

MODELS = web.AppKey("models", list[str])


def make_app(models: list[str]) -> web.Application:
    """Build a server for `models`."""
    app = web.Application(client_max_size=64 * 1024**2)
    app[MODELS] = models
    app.router.add_get("/v1/models", list_models)
    app.router.add_post("/v1/chat/completions", chat_completions)
    return app


async def list_models(request: web.Request) -> web.Response:
    entries = [{"id": model, "object": "model", "owned_by": "demo"} for model in request.app[MODELS]]
    return web.json_response({"object": "list", "data": entries})


async def chat_completions(request: web.Request) -> web.StreamResponse:
    body = await _read_body(request)
    if isinstance(body, web.Response):
        return body
    if body["model"] not in request.app[MODELS]:
        return _error(404, f"The model {body['model']!r} does not exist", "model_not_found")
    words = f"This is {body['model']}, the demo upstream that was asked.".split(" ")
    return await _stream(request, body, words) if body.get("stream") else web.json_response(_completion(body, words))


async def _read_body(request: web.Request) -> dict[str, Any] | web.Response:
    try:
        body = json.loads(await request.read())
    except ValueError as exc:
        return _error(400, f"body: expected JSON: {exc}", "invalid_json")
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or "model" not in body:
        return _error(400, "body: expected an object with `model` and `messages`", "invalid_request")
    return body


def _completion(body: dict[str, Any], words: list[str]) -> dict[str, Any]:
    message = {"role": "assistant", "content": " ".join(words)}
    return {
        **_envelope(body, "chat.completion"),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": _usage(body, words),
    }


async def _stream(request: web.Request, body: dict[str, Any], words: list[str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    async for chunk in _chunks(body, words):
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


async def _chunks(body: dict[str, Any], words: list[str]) -> AsyncIterator[dict[str, Any]]:
    envelope = _envelope(body, "chat.completion.chunk")
    for index, word in enumerate(words):
        delta = {"role": "assistant", "content": word} if index == 0 else {"content": f" {word}"}
        yield {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        await asyncio.sleep(0.02)  # a pace at which a person sees it stream
    yield {**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**envelope, "choices": [], "usage": _usage(body, words)}


def _envelope(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": f"demo-{time.time_ns()}", "object": kind, "created": int(time.time()), "model": body["model"]}


def _usage(body: dict[str, Any], words: list[str]) -> dict[str, int]:
    """Count words as tokens: near enough for a demo."""
    prompt = len(json.dumps(body["messages"]).split())
    return {"prompt_tokens": prompt, "completion_tokens": len(words), "total_tokens": prompt + len(words)}


def _error(status: int, message: str, code: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)
