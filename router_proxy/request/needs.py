"""What a request needs of an upstream, and whether an upstream has it. Estimates, so they only ever move a request
the router placed; what the caller placed goes where it was sent.
"""

import re
from typing import Any

import msgspec

from .body import decode_fields

# A token is about four bytes of text; the upstream's own count decides in the end.
_BYTES_PER_TOKEN = 4
# A quote inside a JSON string is escaped, so these match only members, never what somebody wrote.
_PART_TYPE = re.compile(rb'"type"\s*:\s*"(image_url|input_image|image|input_audio|audio_url|video_url)"')
_MODALITIES = {
    b"image_url": "image",
    b"input_image": "image",
    b"image": "image",
    b"input_audio": "audio",
    b"audio_url": "audio",
    b"video_url": "video",
}
_MEDIA_BYTES = re.compile(rb"[A-Za-z0-9+/=]{256,}+")
_TEXT_ONLY: frozenset[str] = frozenset()  # text itself is no medium
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
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None


_FIELDS = msgspec.json.Decoder(_Fields)


def read_needs(raw: bytes) -> Needs:
    """Estimate what the JSON request `raw` needs, in time linear in its length."""
    fields = decode_fields(raw, _FIELDS)
    media = _PART_TYPE.findall(raw)
    modalities = frozenset(map(_MODALITIES.__getitem__, media)) if media else _TEXT_ONLY
    text_bytes = len(_MEDIA_BYTES.sub(b"", raw)) if modalities else len(raw)
    answer_tokens = (fields.max_tokens, fields.max_completion_tokens, fields.max_output_tokens)
    return Needs(
        modalities=modalities,
        tools=bytes(fields.tools).strip() not in _NO_TOOLS,
        tokens=text_bytes // _BYTES_PER_TOKEN + max([n if isinstance(n, int) else 0 for n in answer_tokens]),
    )


def shortfall(needs: Needs, abilities: Abilities) -> str | None:
    """Return the first thing needed and lacking: a modality, `tools` or `context`; None when nothing is."""
    if not needs.modalities <= abilities.modalities:
        return min(needs.modalities - abilities.modalities)
    if needs.tools and not abilities.tools:
        return "tools"
    if abilities.max_tokens is not None and needs.tokens > abilities.max_tokens:
        return "context"
    return None
