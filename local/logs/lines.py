"""The decision log as its readers see it: one JSON object a line, of which any part may be missing or broken."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from local.errors import LogInvalid
from router_proxy.record import decision_line
from router_proxy.record.decision_line import DecisionLine, LineInvalid
from router_proxy.record.log_parts import PlacedLine, read_log

LOGS = click.argument(
    "logs", metavar="LOG...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)


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


def read_lines(log: Iterable[PlacedLine]) -> Iterator[tuple[str, DecisionLine | None]]:
    """Yield each line with its place; None stands for a malformed one."""
    for place, raw in log:
        try:
            yield place, decision_line.read_line(raw)
        except LineInvalid:
            yield place, None


def read_line(place: str, raw: bytes) -> DecisionLine:
    try:
        return decision_line.read_line(raw)
    except LineInvalid as exc:
        raise LogInvalid(f"{place}: {exc}") from exc
