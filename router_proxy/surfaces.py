"""The request shapes that are routed: where each is served, where its ask is, and how its callers expect errors."""

from collections.abc import Callable
from typing import Any

import msgspec

from routing_policy.conversation import chat_ask

from .body import decode_fields
from .errors import ErrorFormat


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """One routed path. `read_ask` returns the text to judge, or None when the body holds none."""

    name: str
    path: str
    read_ask: Callable[[bytes], str | None]
    merges_params: bool
    error_format: ErrorFormat = "openai"


class _ChatFields(msgspec.Struct):
    messages: Any = None


_CHAT_FIELDS = msgspec.json.Decoder(_ChatFields)


def _read_chat_ask(raw: bytes) -> str | None:
    return chat_ask(decode_fields(raw, _CHAT_FIELDS).messages)


class _PreviewFields(_ChatFields):
    text: Any = None


_PREVIEW_FIELDS = msgspec.json.Decoder(_PreviewFields)


def read_preview_ask(raw: bytes) -> str | None:
    """Return the ask of a body of any routed shape, or of `{"text": …}`."""
    fields = decode_fields(raw, _PREVIEW_FIELDS)
    if isinstance(fields.text, str):
        return fields.text.strip() or None
    return chat_ask(fields.messages)


CHAT = Surface(name="chat", path="/v1/chat/completions", read_ask=_read_chat_ask, merges_params=True)
SURFACES = (CHAT,)
_ERROR_FORMATS = {surface.path: surface.error_format for surface in SURFACES}


def error_format_of(path: str) -> ErrorFormat:
    """Return how callers of `path` expect errors; everything unrouted speaks OpenAI's."""
    return _ERROR_FORMATS.get(path, "openai")
