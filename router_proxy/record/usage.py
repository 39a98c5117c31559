"""Reading token counts out of an answer that passes by, streamed or not, in any of the routed shapes."""

import re

import msgspec

# Every shape states its usage last; what stands before the end is not kept.
TAIL_BYTES = 8192
# Quotes inside JSON strings are escaped, so this finds members only, never a model's words.
_USAGE = re.compile(rb'"usage"\s*+:\s*+(\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\})')


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    prompt_tokens: int
    completion_tokens: int


class _Stated(msgspec.Struct):
    """OpenAI's chat and completions say prompt and completion; its Responses and Anthropic say input and output."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


_STATED = msgspec.json.Decoder(_Stated)


def read_usage(tail: bytes) -> Usage | None:
    """Return the usage stated last in `tail`, the end of an answer; None when it states none that is whole."""
    found = _USAGE.findall(tail)
    if not found:
        return None
    try:
        stated = _STATED.decode(found[-1])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    prompt = stated.prompt_tokens if stated.prompt_tokens is not None else stated.input_tokens
    completion = stated.completion_tokens if stated.completion_tokens is not None else stated.output_tokens
    if prompt is None or completion is None:
        return None
    return Usage(prompt_tokens=prompt, completion_tokens=completion)
