"""What a request needs of an upstream, and whether an upstream has it. Estimates, so they only ever move a request
the router placed; what the caller placed goes where it was sent.
"""

import re

import msgspec

from .body import decode_fields

# A token is about four bytes of text; the upstream's own count decides in the end.
_BYTES_PER_TOKEN = 4
# A quote inside a JSON string is escaped, so these match only members, never what somebody wrote.
_PART_TYPE = re.compile(rb'"type"\s*+:\s*+"(image_url|input_image|image|input_audio|audio_url|video_url)"')
_MODALITIES = {
    b"image_url": "image",
    b"input_image": "image",
    b"image": "image",
    b"input_audio": "audio",
    b"audio_url": "audio",
    b"video_url": "video",
}
# A member, of those that hold no prompt, whose value is a long string of base64 in any wrapping: as a data URL, in
# lines, with escaped slashes, for URLs. Each string is looked at once, from its first quote: linear, whatever is in it.
_ENCODED = re.compile(
    rb'"(?!text"|content"|prompt"|input"|arguments"|instructions"|system")[A-Za-z0-9_-]{1,64}+"\s*+:\s*+"(?=[^"]{256})'
    rb'(?:data:([^",]{0,128}+),)?+(?:[A-Za-z0-9+/=_%-]++|\\[/nrt]|\\u003[dD]|\\u002[bBfF])*+"'
)
_TEXT_FILE = re.compile(rb"text\\?/|application\\?/(?:json|xml|yaml)", re.IGNORECASE)
_INDENTATION = re.compile(rb"[\r\n][ \t\r\n]*+")  # a line's end is never inside a JSON string
_UNICODE_ESCAPE_BYTES, _UTF8_BYTES = 6, 3
_TEXT_ONLY: frozenset[str] = frozenset()  # text itself is no medium
_SHORTEST_FILE = 256
_NO_TOOLS = frozenset({b"", b"null", b"[]"})


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream must have to answer a request. `tokens` is an estimate of prompt and answer together."""

    modalities: frozenset[str]
    tools: bool
    tokens: int


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream has; `max_tokens` is None while unknown."""

    modalities: frozenset[str]
    tools: bool
    max_tokens: int | None


class _Fields(msgspec.Struct):
    tools: msgspec.Raw = msgspec.Raw(b"")
    max_tokens: msgspec.Raw = msgspec.Raw(b"")
    max_completion_tokens: msgspec.Raw = msgspec.Raw(b"")
    max_output_tokens: msgspec.Raw = msgspec.Raw(b"")


_FIELDS = msgspec.json.Decoder(_Fields)
_COUNT = re.compile(rb"[0-9]{1,9}")


def read_needs(raw: bytes) -> Needs:
    """Estimate what the JSON request `raw` needs, in time linear in its length."""
    fields = decode_fields(raw, _FIELDS)
    media = _PART_TYPE.findall(raw)
    stated = (fields.max_tokens, fields.max_completion_tokens, fields.max_output_tokens)
    answers = [_count(each) for each in stated if len(each)]
    return Needs(
        modalities=frozenset(map(_MODALITIES.__getitem__, media)) if media else _TEXT_ONLY,
        tools=bytes(fields.tools).strip() not in _NO_TOOLS,
        tokens=_text_bytes(raw) // _BYTES_PER_TOKEN + max(answers, default=0),
    )


def _text_bytes(raw: bytes) -> int:
    """Return about how many bytes of UTF-8 a tokenizer gets to see: no files, no indentation, no escapes."""
    if len(raw) > _SHORTEST_FILE:
        raw = _ENCODED.sub(_text_of_file, raw)
    if b"\n" in raw or b"\r" in raw:
        raw = _INDENTATION.sub(b"", raw)
    escapes = raw.count(b"\\") - raw.count(b"\\\\")
    if not escapes:
        return len(raw)
    return len(raw) - escapes - raw.count(b"\\u") * (_UNICODE_ESCAPE_BYTES - 1 - _UTF8_BYTES)


def _text_of_file(encoded: re.Match[bytes]) -> bytes:
    """Return what a file in base64 is to a tokenizer: three quarters of its bytes if it is a text, else nothing."""
    is_text = encoded[1] is not None and _TEXT_FILE.match(encoded[1])
    return b" " * (len(encoded[0]) * 3 // 4) if is_text else b""


def _count(stated: msgspec.Raw) -> int:
    """Return a number of tokens; what is none, or none in earnest, counts as nothing."""
    return int(bytes(stated)) if _COUNT.fullmatch(stated) else 0


def shortfall(needs: Needs, abilities: Abilities) -> str | None:
    """Return the first thing needed and lacking: a modality, `tools` or `context`; None when nothing is."""
    if not needs.modalities <= abilities.modalities:
        return min(needs.modalities - abilities.modalities)
    if needs.tools and not abilities.tools:
        return "tools"
    if abilities.max_tokens is not None and needs.tokens > abilities.max_tokens:
        return "context"
    return None
