"""The model that a multipart form names (RFC 7578), read strictly: what two parsers may read in two ways is refused."""

import re
from collections.abc import Iterator

from router_proxy.errors import RequestInvalid

_MOST_PARTS = 1000
_LONGEST_HEAD = 4096
_LONGEST_MODEL = 1024
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_UNQUOTED = r'[^\s;"\\]++'
_PARAMETER = rf"[ \t]*+;[ \t]*+({_WORD})=({_UNQUOTED}|{_QUOTED})"
_PARAMETERS = re.compile(_PARAMETER)
_BOUNDARY = re.compile(rf"multipart/{_WORD}(?:{_PARAMETER})*+[ \t;]*+", re.IGNORECASE)
_DISPOSITION = re.compile(rf"form-data(?:{_PARAMETER})*+[ \t;]*+", re.IGNORECASE)
_LINE_END = re.compile(rb"[ \t]*+\r\n")


def form_model(raw: bytes, content_type: str) -> str | None:
    """Return the text of the field `model`, None where there is none; RequestInvalid where that is not plain."""
    models = [raw[start:end] for head, start, end in _parts(raw, _boundary(content_type)) if _is_model(head)]
    if len(models) > 1:
        raise _unclear("model: given more than once")
    if not models:
        return None
    try:
        model = models[0].decode()
    except UnicodeDecodeError as exc:
        raise _unclear("model: expected UTF-8") from exc
    if len(model) > _LONGEST_MODEL:
        raise _unclear(f"model: expected at most {_LONGEST_MODEL} characters")
    return model or None


def _parts(raw: bytes, boundary: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the head of each part and where its content lies, in one pass, without what is before and after them."""
    delimiter = b"\r\n--" + boundary
    at_once = raw.startswith(delimiter[2:])
    start = len(delimiter) - 2 if at_once else _after(raw, delimiter, 0)
    for _ in range(_MOST_PARTS):
        if raw.startswith(b"--", start):
            return
        line_end = _LINE_END.match(raw, start)
        if line_end is None:
            raise _unclear("form: expected a line's end after each boundary")
        end = raw.find(delimiter, line_end.end() - 2)
        if end < 0:
            raise _unclear("form: expected the boundary that ends it")
        yield _split(raw, line_end.end(), end)
        start = end + len(delimiter)
    raise _unclear(f"form: expected at most {_MOST_PARTS} parts")


def _after(raw: bytes, delimiter: bytes, start: int) -> int:
    found = raw.find(delimiter, start)
    if found < 0:
        raise _unclear("form: expected the boundary that Content-Type gives")
    return found + len(delimiter)


def _split(raw: bytes, start: int, end: int) -> tuple[bytes, int, int]:
    head_end = raw.find(b"\r\n\r\n", start, min(end, start + _LONGEST_HEAD))
    if head_end < 0:
        raise _unclear(f"form: expected a head of at most {_LONGEST_HEAD} bytes in each part")
    return raw[start:head_end], head_end + 4, end


def _is_model(head: bytes) -> bool:
    """Whether a part's head names it `model`."""
    lines = head.decode("latin-1").split("\r\n")
    values = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("content-disposition:")]
    if len(values) != 1 or any(line[:1] in {" ", "\t"} or "\n" in line for line in lines):
        raise _unclear("form: expected one Content-Disposition, on one line, in each part")
    names = _parameters(_DISPOSITION, values[0], "name")
    if len(names) != 1:
        raise _unclear("form: expected one name of each part")
    if names[0].lower() == "model" != names[0]:
        raise _unclear("model: expected in lower case")
    return names[0] == "model"


def _boundary(content_type: str) -> bytes:
    boundaries = _parameters(_BOUNDARY, content_type, "boundary")
    if len(boundaries) != 1 or not boundaries[0] or len(boundaries[0]) > 70:  # noqa: PLR2004 - RFC 2046 §5.1.1
        raise _unclear("form: expected one boundary of at most 70 characters in Content-Type")
    return boundaries[0].encode(errors="surrogateescape")


def _parameters(form: re.Pattern[str], value: str, wanted: str) -> list[str]:
    """Return the values of the parameter `wanted`; any written in the way of RFC 5987 is one value too many."""
    if form.fullmatch(value) is None:
        raise _unclear(f"form: expected {wanted}=… among parameters as RFC 9110 §5.6.6 has them")
    found = [(name.lower(), text) for name, text in _PARAMETERS.findall(value)]
    if any(name.startswith(wanted + "*") for name, _ in found):
        raise _unclear(f"form: expected {wanted}= and not {wanted}*=")
    return [_unquoted(text) for name, text in found if name == wanted]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _unclear(message: str) -> RequestInvalid:
    return RequestInvalid(message, code="invalid_body")
