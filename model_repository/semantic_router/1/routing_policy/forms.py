"""From a document to a checked value of one of our types; a document that does not fit is told all that is wrong.

msgspec decodes and stops at the first mistake; only then is the document walked along the type to find them all.
"""

import re
import types
import typing
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from .errors import FileInvalid
from .problem import Problem

Form = TypeVar("Form")


def convert_form(document: dict[str, Any], form: type[Form], file: str) -> Form:
    """Return `document` as a `form`; FileInvalid names every mistake with its path."""
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as exc:
        problems = [Problem(file=file, path=path, reason=reason) for path, reason in _mistakes(document, form, "$")]
        raise FileInvalid(*problems) from exc


_Mistake = tuple[str, str]


def _mistakes(value: Any, kind: Any, path: str) -> Iterator[_Mistake]:
    """Yield path and reason of what keeps `value` from being a `kind`, the innermost ones there are."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        inner = [*_inner_mistakes(value, kind, path)]
        yield from inner or [(path, _reason(str(exc), value))]


def _inner_mistakes(value: Any, kind: Any, path: str) -> Iterator[_Mistake]:
    kind = _meant(kind, value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _struct_mistakes(value, kind, path)
    elif isinstance(value, dict) and origin is dict:
        for key, each in value.items():
            yield from _key_mistakes(key, arguments[0], f"{path}.{key}")
            yield from _mistakes(each, arguments[1], f"{path}.{key}")
    elif isinstance(value, list) and origin in {list, tuple}:
        for index, each in enumerate(value):
            yield from _mistakes(each, arguments[0], f"{path}[{index}]")


def _struct_mistakes(value: dict[str, Any], kind: type[msgspec.Struct], path: str) -> Iterator[_Mistake]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    meant: set[str] = set()
    if kind.__struct_config__.forbid_unknown_fields:
        absent = [name for name in fields if name not in value]
        for key in (key for key in value if key not in fields):
            close = get_close_matches(key.lower(), absent, n=1)
            meant.update(close)
            yield f"{path}.{key}", f"unknown key{_likely_meaning(close, absent)}"
    for key, field in fields.items():
        if key in value:
            yield from _mistakes(value[key], field.type, f"{path}.{key}")
        elif field.required and key not in meant:
            yield path, f"missing required key {key}"


def _likely_meaning(close: list[str], absent: list[str]) -> str:
    if close:
        return f"; did you mean {close[0]}?"
    return f"; expected one of {', '.join(absent)}" if absent else ""


def _key_mistakes(key: str, kind: Any, path: str) -> Iterator[_Mistake]:
    for _, reason in _mistakes(key, kind, path):
        yield path, f"as a key: {reason}"


def _meant(kind: Any, value: Any) -> Any:
    """Return the type to compare with: without annotations, and of several the one that is of the value's shape."""
    if typing.get_origin(kind) is typing.Annotated:
        return _meant(typing.get_args(kind)[0], value)
    if typing.get_origin(kind) not in {typing.Union, types.UnionType}:
        return kind
    for each in (_meant(member, value) for member in typing.get_args(kind)):
        is_struct = isinstance(each, type) and issubclass(each, msgspec.Struct)
        if isinstance(value, dict) and (is_struct or typing.get_origin(each) is dict):
            return each
        if isinstance(value, list) and typing.get_origin(each) in {list, tuple}:
            return each
    return kind


def _reason(message: str, value: Any) -> str:
    """Rewrite msgspec's `Expected X - at `$.a[0]`` as a reason that also says which number was there.

    Text is not repeated: it may be a key, or hold a password, that somebody put in the wrong place.
    """
    reason = re.sub(r"(?s) - at `[^`]*`$", "", message)
    reason = reason[:1].lower() + reason[1:].replace("`", "")
    is_shown = isinstance(value, int | float) and reason.startswith("expected") and ", got" not in reason
    return f"{reason}, got {value!r}" if is_shown else reason
