"""The decision log as its readers see it: one JSON object a line, of which any part may be missing or broken."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens an upstream counted for one request."""

    prompt_tokens: int
    completion_tokens: int


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the readers need of one line; other fields are skipped."""

    outcome: str
    target: str | None = None
    winner: str | None = None
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    scores: dict[str, float] | None = None
    usage: dict[str, Any] | None = None

    @property
    def tokens(self) -> Usage | None:
        """The usage, in OpenAI's words or in those of Responses and Anthropic; None where a count is missing."""
        usage = self.usage or {}
        prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
        completion = usage.get("completion_tokens", usage.get("output_tokens"))
        if isinstance(prompt, int) and isinstance(completion, int):
            return Usage(prompt_tokens=prompt, completion_tokens=completion)
        return None


_LINE = msgspec.json.Decoder(LogLine)


def read_lines(log: Iterable[bytes]) -> Iterator[tuple[int, LogLine | None]]:
    """Yield each line that is not blank with its number from 1; None stands for a malformed one."""
    for number, raw in enumerate(log, start=1):
        if raw.strip():
            yield number, _decoded(raw)


def _decoded(raw: bytes) -> LogLine | None:
    try:
        line = _LINE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if line.scores is not None and not all(0 <= score <= 1 for score in line.scores.values()):
        return None
    return line
