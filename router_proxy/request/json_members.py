"""Finding and adding members of a JSON object in its bytes, without reading the rest of it."""

import json
import re
from collections.abc import Iterator

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SPACE = rb"[ \t\n\r]*+"
_MEMBER_NAME = re.compile(_SPACE + rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_SCALAR = re.compile(_STRING + rb"|[^][{},\" \t\n\r]++", re.DOTALL)
_UP_TO_BRACKET = re.compile(rb'(?:[^][{}"]++|' + _STRING + rb")*+", re.DOTALL)
_NEXT_MEMBER = re.compile(_SPACE + rb",")
_OPENING = b"{["
_MODEL_NAME = b'"model"'
_TEXT_MEMBER = re.compile(_MODEL_NAME + _SPACE + rb":" + _SPACE + rb"(" + _STRING + rb"|null)", re.DOTALL)
_ESCAPED_LETTER = re.compile(rb"\\u006[dDfF45cC]")  # of m, o, d, e, l


def insert_first(raw: bytes, member: bytes) -> bytes:
    after_brace = raw.index(b"{") + 1
    is_empty = _MEMBER_NAME.match(raw, after_brace) is None
    return raw[:after_brace] + member + (b"" if is_empty else b",") + raw[after_brace:]


def only_model_span(raw: bytes) -> tuple[int, int] | None:
    """Return where the one top-level `model` has its value, found without reading the rest.

    None when another member may be called so too, and only reading in order can tell them apart.
    """
    start = raw.find(_MODEL_NAME)
    if raw.find(_MODEL_NAME, start + 1) >= 0 or _ESCAPED_LETTER.search(raw):
        return None
    value = _TEXT_MEMBER.match(raw, start)
    return value.span(1) if value else None


def model_spans(raw: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the values of top-level `model` members lie in `raw`, a valid JSON object."""
    position = raw.index(b"{") + 1
    while name := _MEMBER_NAME.match(raw, position):
        end = _value_end(raw, name.end())
        if _names_model(name[1]):
            yield name.end(), end
        comma = _NEXT_MEMBER.match(raw, end)
        if comma is None:
            return
        position = comma.end()


def _names_model(name: bytes) -> bool:
    return name == _MODEL_NAME or (b"\\" in name and json.loads(name) == "model")


def _value_end(raw: bytes, start: int) -> int:
    if scalar := _SCALAR.match(raw, start):
        return scalar.end()
    position, depth = start + 1, 1
    while depth:
        position = _UP_TO_BRACKET.match(raw, position).end()  # type: ignore[union-attr]  # matches the empty string too
        depth += 1 if raw[position] in _OPENING else -1
        position += 1
    return position
