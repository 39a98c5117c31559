"""Finding the `model` field of a multipart form, as audio uploads have it, without touching the form."""

import re
from email.message import Message

from .errors import RequestInvalid

_MODEL_PART = re.compile(rb'content-disposition:[^\r\n]*;\s*name="?model"?\s*(?:;|\r\n)', re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


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
