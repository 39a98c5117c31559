"""What the demo upstream says, in the shape of each path that the router routes, whole or as a stream of events."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

Json = dict[str, Any]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A request and the words to answer it with."""

    body: Json
    words: list[str]

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def pieces(self) -> list[str]:
        return [word if index == 0 else f" {word}" for index, word in enumerate(self.words)]

    @property
    def prompt_tokens(self) -> int:
        """Count words as tokens: near enough for a demo."""
        return len(json.dumps(self.body).split())

    @property
    def openai_usage(self) -> Json:
        prompt, completion = self.prompt_tokens, len(self.words)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    @property
    def usage(self) -> Json:
        return {"input_tokens": self.prompt_tokens, "output_tokens": len(self.words)}

    def envelope(self, kind: str) -> Json:
        return {
            "id": f"demo-{time.time_ns()}",
            "object": kind,
            "created": int(time.time()),
            "model": self.body["model"],
        }


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One path: the member that its requests must have, its answer, and the same answer as events of a stream."""

    needs: str
    whole: Callable[[Told], Json]
    events: Callable[[Told], Iterator[Json]]


def _chat(told: Told) -> Json:
    message = {"role": "assistant", "content": told.text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {**told.envelope("chat.completion"), "choices": [choice], "usage": told.openai_usage}


def _chat_events(told: Told) -> Iterator[Json]:
    envelope = told.envelope("chat.completion.chunk")
    for index, piece in enumerate(told.pieces):
        delta = {"role": "assistant", "content": piece} if index == 0 else {"content": piece}
        yield {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield from _usage_event(told, envelope)


def _completion(told: Told) -> Json:
    choice = {"index": 0, "text": told.text, "finish_reason": "stop", "logprobs": None}
    return {**told.envelope("text_completion"), "choices": [choice], "usage": told.openai_usage}


def _completion_events(told: Told) -> Iterator[Json]:
    envelope = told.envelope("text_completion")
    for piece in told.pieces:
        yield {**envelope, "choices": [{"index": 0, "text": piece, "finish_reason": None, "logprobs": None}]}
    yield {**envelope, "choices": [{"index": 0, "text": "", "finish_reason": "stop", "logprobs": None}]}
    yield from _usage_event(told, envelope)


def _usage_event(told: Told, envelope: Json) -> Iterator[Json]:
    if (told.body.get("stream_options") or {}).get("include_usage"):
        yield {**envelope, "choices": [], "usage": told.openai_usage}


def _response(told: Told) -> Json:
    return _response_as(told, "completed", [_output_item(told)])


def _response_events(told: Told) -> Iterator[Json]:
    item = {"item_id": "msg_demo", "output_index": 0, "content_index": 0}
    yield {"type": "response.created", "response": _response_as(told, "in_progress", [])}
    for piece in told.pieces:
        yield {"type": "response.output_text.delta", **item, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **item, "text": told.text, "logprobs": []}
    yield {"type": "response.completed", "response": _response(told)}


def _response_as(told: Told, status: str, output: list[Json]) -> Json:
    total = {"total_tokens": told.prompt_tokens + len(told.words)}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {**told.usage, **total, **details} if output else None
    head = {"id": f"resp_{time.time_ns()}", "object": "response", "created_at": int(time.time()), "status": status}
    asked = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**head, "model": told.body["model"], "output": output, **asked, "usage": usage}


def _output_item(told: Told) -> Json:
    content = [{"type": "output_text", "text": told.text, "annotations": []}]
    return {"id": "msg_demo", "type": "message", "role": "assistant", "status": "completed", "content": content}


def _message(told: Told) -> Json:
    head = {"id": f"msg_{time.time_ns()}", "type": "message", "role": "assistant", "model": told.body["model"]}
    said = [{"type": "text", "text": told.text}]
    return {**head, "content": said, "stop_reason": "end_turn", "stop_sequence": None, "usage": told.usage}


def _message_events(told: Told) -> Iterator[Json]:
    begun = {**_message(told), "content": [], "stop_reason": None, "usage": {**told.usage, "output_tokens": 0}}
    yield {"type": "message_start", "message": begun}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for piece in told.pieces:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield {"type": "content_block_stop", "index": 0}
    stopped = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": stopped, "usage": told.usage}
    yield {"type": "message_stop"}


def _count(told: Told) -> Json:
    return {"input_tokens": told.prompt_tokens}


SHAPES = {
    "/v1/chat/completions": Shape(needs="messages", whole=_chat, events=_chat_events),
    "/v1/completions": Shape(needs="prompt", whole=_completion, events=_completion_events),
    "/v1/responses": Shape(needs="input", whole=_response, events=_response_events),
    "/v1/messages": Shape(needs="messages", whole=_message, events=_message_events),
    "/v1/messages/count_tokens": Shape(needs="messages", whole=_count, events=_message_events),
}


def stream_lines(event: Json) -> bytes:
    """Return an event as server-sent lines, named where its shape names its events."""
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()
