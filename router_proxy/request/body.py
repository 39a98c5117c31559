"""Reading a JSON body and rewriting only its `model`: every other byte reaches the upstream as the client wrote it."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from router_proxy.errors import RequestInvalid

from .json_members import check_members, check_named_once, insert_first, member_name, only_text_span, text_spans

_MODEL = member_name("model")
_LONGEST_NAME = 1024
_OTHER_UTF = (b"\xff\xfe", b"\xfe\xff")
_HALF_A_PAIR = "; an escape from \\ud800 to \\udfff stands there without its pair"
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)


class JsonBody(msgspec.Struct, frozen=True, kw_only=True):
    """A checked JSON object as it arrived, and the `model` it names (None when absent, null or empty)."""

    raw: bytes
    model: str | None


class _ModelField(msgspec.Struct):
    model: str | msgspec.UnsetType | None = msgspec.UNSET


_MODEL_FIELD = msgspec.json.Decoder(_ModelField)
Fields = TypeVar("Fields")


def read_body(raw: bytes) -> JsonBody:
    """Check that `raw` is a JSON object in UTF-8 that names its `model` once, if at all, and by a string."""
    if not raw.isascii():
        _check_utf8(raw)
    model = decode_fields(raw, _MODEL_FIELD).model
    check_named_once(raw, (_MODEL,))
    if model is msgspec.UNSET or not model:
        return JsonBody(raw=raw, model=None)
    if len(model) > _LONGEST_NAME:
        raise RequestInvalid(f"model: expected at most {_LONGEST_NAME} characters, got {len(model)}", param="model")
    return JsonBody(raw=raw, model=model)


def decode_fields(raw: bytes, decoder: msgspec.json.Decoder[Fields]) -> Fields:
    """Decode the members that `decoder` names and skip the rest; the one place where a body is refused as malformed."""
    try:
        return decoder.decode(raw)
    except UnicodeDecodeError as exc:
        raise RequestInvalid(f"body: expected UTF-8: {exc.reason}", code="invalid_json") from exc
    except msgspec.ValidationError as exc:
        raise _misshapen(str(exc)) from exc
    except msgspec.DecodeError as exc:
        hint = _HALF_A_PAIR if _LONE_SURROGATE.search(raw) else ""
        raise RequestInvalid(f"body: expected JSON: {exc}{hint}", code="invalid_json") from exc
    except RecursionError as exc:
        raise RequestInvalid("body: nested too deeply", code="invalid_json") from exc


def text_of(value: msgspec.Raw) -> str | None:
    """Return a member's value where that is a text."""
    return msgspec.json.decode(value, type=str) if bytes(memoryview(value)[:1]) == b'"' else None


def _check_utf8(raw: bytes) -> None:
    try:
        raw.decode()
    except UnicodeDecodeError as exc:
        other = ", got UTF-16 or UTF-32" if raw.startswith(_OTHER_UTF) else f": {exc.reason} at byte {exc.start}"
        raise RequestInvalid(f"body: expected UTF-8{other}", code="invalid_json") from exc


def _misshapen(reason: str) -> RequestInvalid:
    expectation, _, member = reason.replace("`", "").partition(" - at $.")
    if member:
        return RequestInvalid(f"{member}: {expectation[:1].lower()}{expectation[1:]}", param=member)
    return RequestInvalid(f"body: {expectation}", code="invalid_json")


def with_model(raw: bytes, model: str) -> bytes:
    """Return the JSON object `raw`, as `read_body` has checked it, naming `model`, all other bytes unchanged."""
    value = msgspec.json.encode(model)
    if _MODEL_FIELD.decode(raw).model is msgspec.UNSET:
        return insert_first(raw, b'"model":' + value)
    only = only_text_span(raw, _MODEL)
    pieces: list[bytes] = []
    copied = 0
    for start, end in [only] if only else text_spans(raw, _MODEL):
        pieces += (raw[copied:start], value)
        copied = end
    return b"".join((*pieces, raw[copied:]))


def with_params(raw: bytes, params: Mapping[str, Any]) -> bytes:
    """Return the JSON object `raw` with `params` merged in deeply; `params` win, untouched members keep their bytes."""
    if not params:
        return raw
    check_members(raw)
    return _merged(raw, params)


def _merged(present: bytes | msgspec.Raw, wins: Any) -> bytes:
    """Return `wins` as JSON, over the members of `present` where both are objects; only names met are read."""
    if not isinstance(wins, Mapping) or not bytes(present).lstrip().startswith(b"{"):
        return msgspec.json.encode(wins)
    members = msgspec.json.decode(present, type=dict[str, msgspec.Raw])
    for name, value in wins.items():
        members[name] = msgspec.Raw(_merged(members.get(name, b""), value))
    return msgspec.json.encode(members)
