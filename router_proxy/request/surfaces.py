"""The request shapes that are routed: where each is served, where its ask is, and how its callers expect errors."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from router_proxy.errors import ErrorFormat
from routing_policy.conversation import conversation_ask, prompt_ask, responses_ask

from .body import Fields, decode_fields, text_of
from .json_members import MemberName, check_named_once, check_values, member_name

ReadAsk = Callable[[bytes, Sequence[str]], str | None]


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """One routed path. `read_ask` takes a body and the tags to strip, and returns the text to judge, if any."""

    name: str
    path: str
    read_ask: ReadAsk
    merges_params: bool = False
    goes_on: bool = False  # a request may go on from an earlier answer, which its server keeps
    error_format: ErrorFormat = "openai"


class _Messages(msgspec.Struct):
    messages: Any = None


class _Input(msgspec.Struct):
    input: Any = None


class _Prompt(msgspec.Struct):
    prompt: msgspec.Raw = msgspec.Raw(b"")


class _AnyShape(msgspec.Struct):
    text: Any = None
    messages: Any = None
    input: Any = None
    prompt: msgspec.Raw = msgspec.Raw(b"")


_MESSAGES = msgspec.json.Decoder(_Messages)
_INPUT = msgspec.json.Decoder(_Input)
_PROMPT = msgspec.json.Decoder(_Prompt)
_ANY_SHAPE = msgspec.json.Decoder(_AnyShape)
_NAMES = tuple(member_name(name) for name in ("messages", "input", "prompt", "text"))
_FIRST_OF_LIST = re.compile(rb'\[[ \t\n\r]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")', re.DOTALL)


def _read_messages(raw: bytes, injected_tags: Sequence[str]) -> str | None:
    messages = _judged(raw, _MESSAGES, _NAMES[:1]).messages
    return conversation_ask(messages, injected_tags if _may_hold_tags(raw) else ())


def _may_hold_tags(raw: bytes) -> bool:
    """Whether there is a `<` in any text of `raw`, written as it is or as an escape."""
    return b"<" in raw or b"\\u003" in raw


def _read_input(raw: bytes, injected_tags: Sequence[str]) -> str | None:
    return responses_ask(_judged(raw, _INPUT, _NAMES[1:2]).input, injected_tags)


def _read_prompt(raw: bytes, _: Sequence[str]) -> str | None:
    check_named_once(raw, _NAMES[2:3])
    return prompt_ask(_first_prompt(decode_fields(raw, _PROMPT).prompt))


def read_any_ask(raw: bytes, injected_tags: Sequence[str]) -> str | None:
    """Return the ask of a body of any routed shape, or of `{"text": …}`."""
    body = _judged(raw, _ANY_SHAPE, _NAMES)
    return (
        prompt_ask(body.text)
        or conversation_ask(body.messages, injected_tags)
        or responses_ask(body.input, injected_tags)
        or prompt_ask(_first_prompt(body.prompt))
    )


def _judged(raw: bytes, decoder: msgspec.json.Decoder[Fields], names: Sequence[MemberName]) -> Fields:
    """Decode what is judged: it must be what is answered, too, and no more than a bounded number of values."""
    check_named_once(raw, names)
    check_values(raw)
    return decode_fields(raw, decoder)


def _first_prompt(prompt: msgspec.Raw) -> str | None:
    """Return a prompt that is a text, or the first of a list of texts; token ids, which may be many, are not read."""
    first = _FIRST_OF_LIST.match(prompt)
    return msgspec.json.decode(first[1], type=str) if first else text_of(prompt)


SURFACES = (
    Surface(name="chat", path="/v1/chat/completions", read_ask=_read_messages, merges_params=True),
    Surface(name="completions", path="/v1/completions", read_ask=_read_prompt, merges_params=True),
    Surface(name="responses", path="/v1/responses", read_ask=_read_input, goes_on=True),
    Surface(name="messages", path="/v1/messages", read_ask=_read_messages, error_format="anthropic"),
    Surface(name="count_tokens", path="/v1/messages/count_tokens", read_ask=_read_messages, error_format="anthropic"),
)
_ERROR_FORMATS = {surface.path: surface.error_format for surface in SURFACES}


def error_format_of(path: str) -> ErrorFormat:
    """Return how callers of `path` expect errors; everything unrouted speaks OpenAI's."""
    return _ERROR_FORMATS.get(path, "openai")
