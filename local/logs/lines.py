"""The decision log as its readers see it: one JSON object a line, of which any part may be missing or broken."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec

from local.errors import LogInvalid
from router_proxy.record.log_parts import PlacedLine, read_log

LOGS = click.argument(
    "logs", metavar="LOG...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
# The caller named the model, so the target is not who answered.
_PLACED_BY_CALLER = frozenset({"shadow", "explicit", "off"})


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens an upstream counted for one request."""

    prompt_tokens: int
    completion_tokens: int


class ClassifierName(msgspec.Struct, frozen=True):
    name: str
    revision: str


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the readers need of one line; other fields are skipped."""

    outcome: str
    ts: float | None = None
    mode: str | None = None
    target: str | None = None
    served_by: str | None = None
    rationale: str | None = None
    winner: str | None = None
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    scores: dict[str, float] | None = None
    policy: str | None = None
    classifier: ClassifierName | None = None
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

    @property
    def writer(self) -> str | None:
        """Whose tokens these are: the target's where the router placed the request, else the upstream's that served."""
        return self.served_by or self.target if self.outcome in _PLACED_BY_CALLER else self.target


_LINE = msgspec.json.Decoder(LogLine)


def open_logs(names: Iterable[str]) -> Iterator[PlacedLine]:
    """Yield the lines of several logs, each with the parts it was rotated into; `-` is standard input."""
    for name in names:
        if name == "-":
            yield from ((f"-:{number}", line) for number, line in enumerate(sys.stdin.buffer, start=1) if line.strip())
            continue
        try:
            yield from read_log(Path(name))
        except OSError as exc:
            raise LogInvalid(f"{exc.filename or name}: cannot be read: {exc.strerror or exc}") from exc


def read_lines(log: Iterable[PlacedLine]) -> Iterator[tuple[str, LogLine | None]]:
    """Yield each line with its place; None stands for a malformed one."""
    for place, raw in log:
        try:
            yield place, read_line(place, raw)
        except LogInvalid:
            yield place, None


def read_line(place: str, raw: bytes) -> LogLine:
    try:
        line = _LINE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise LogInvalid(f"{place}: expected a line of the decision log: {str(exc).replace('`', '')}") from exc
    if line.scores is not None and not all(0 <= score <= 1 for score in line.scores.values()):
        raise LogInvalid(f"{place}: $.scores: expected scores in 0..1")
    return line
