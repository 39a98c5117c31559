"""Reading a JSON body and rewriting only its `model`: every other byte reaches the upstream as the client wrote it."""

import re
from collections.abc import Mapping
from email.message import Message
from typing import Any, TypeVar

import msgspec

from router_proxy.errors import RequestInvalid

from .json_members import insert_first, model_spans, only_model_span

_MODEL_PART = re.compile(rb'content-disposition:[^\r\n]*;\s*name="?model"?\s*(?:;|\r\n)', re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class JsonBody(msgspec.Struct, frozen=True, kw_only=True):
    """A checked JSON object as it arrived, and the `model` it names (None when absent, null or empty)."""

    raw: bytes
    model: str | None


class _ModelField(msgspec.Struct):
    model: Any = msgspec.UNSET


_MODEL_FIELD = msgspec.json.Decoder(_ModelField)
Fields = TypeVar("Fields")


def read_body(raw: bytes) -> JsonBody:
    """Check that `raw` is a JSON object whose `model`, if any, is a string."""
    model = decode_fields(raw, _MODEL_FIELD).model
    if model is msgspec.UNSET or model is None:
        return JsonBody(raw=raw, model=None)
    if not isinstance(model, str):
        raise RequestInvalid(f"model: expected a string, got {type(model).__name__}", param="model")
    return JsonBody(raw=raw, model=model or None)


def decode_fields(raw: bytes, decoder: msgspec.json.Decoder[Fields]) -> Fields:
    """Decode the members that `decoder` names and skip the rest; the one place where a body is refused as malformed."""
    try:
        return decoder.decode(raw)
    except UnicodeDecodeError as exc:
        raise RequestInvalid(f"body: expected UTF-8: {exc}", code="invalid_json") from exc
    except msgspec.ValidationError as exc:
        raise RequestInvalid(f"body: {exc}", code="invalid_json") from exc
    except msgspec.DecodeError as exc:
        raise RequestInvalid(f"body: expected JSON: {exc}", code="invalid_json") from exc
    except RecursionError as exc:
        raise RequestInvalid("body: nested too deeply", code="invalid_json") from exc


def with_model(raw: bytes, model: str) -> bytes:
    """Return the JSON object `raw` naming `model`, all other bytes unchanged.

    Every top-level `model` is replaced: parsers differ on which duplicate counts (RFC 8259 §4), and none may
    reach a model that was not chosen.
    """
    value = msgspec.json.encode(model)
    if _MODEL_FIELD.decode(raw).model is msgspec.UNSET:
        return insert_first(raw, b'"model":' + value)
    only = only_model_span(raw)
    spans = [only] if only else model_spans(raw)
    pieces: list[bytes] = []
    copied = 0
    for start, end in spans:
        pieces += (raw[copied:start], value)
        copied = end
    return b"".join((*pieces, raw[copied:]))


def with_params(raw: bytes, params: Mapping[str, Any]) -> bytes:
    """Return the JSON object `raw` with `params` merged in deeply; `params` win, untouched members keep their bytes."""
    return _merged(raw, params) if params else raw


def _merged(present: bytes | msgspec.Raw, wins: Any) -> bytes:
    """Return `wins` as JSON, over the members of `present` where both are objects; only names met are read."""
    if not isinstance(wins, Mapping) or not bytes(present).lstrip().startswith(b"{"):
        return msgspec.json.encode(wins)
    members = msgspec.json.decode(present, type=dict[str, msgspec.Raw])
    for name, value in wins.items():
        members[name] = msgspec.Raw(_merged(members.get(name, b""), value))
    return msgspec.json.encode(members)


def multipart_model(raw: bytes, content_type: str) -> str | None:
    """Return the text of the form field `model` (RFC 7578 §4), or None when there is no such field."""
    delimiter = b"\r\n--" + _boundary(content_type)
    for part in (b"\r\n" + raw).split(delimiter):
        head, found, content = part.partition(_HEAD_END)
        if found and _MODEL_PART.search(head + b"\r\n"):
            return content.decode(errors="replace").strip() or None
    return None


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if not boundary:
        raise RequestInvalid("body: expected a multipart boundary in Content-Type", code="invalid_body")
    return boundary.encode(errors="replace")
