"""The tables of docs/reference.md, as rows that tests go through one by one."""

import re
from pathlib import Path

import msgspec

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
_METRIC = re.compile(r"`(?P<name>sem\w+)(?:\{(?P<labels>[^}]*)\})?(?: == (?P<value>\d+))?`")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_STATUS = re.compile(r"`(\d{3})`")


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that a row names: one of its samples with `labels` has `value`, or counts at least one."""

    name: str
    labels: dict[str, str]
    value: float | None


def rows(heading: str) -> dict[str, list[str]]:
    """Return the cells of the table under `heading` after the first, which names the row."""
    section = REFERENCE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {name: rest for name, *rest in cells}


def expected_metrics(cell: str) -> list[Expectation]:
    return [
        Expectation(
            name=found["name"],
            labels=dict(_LABEL.findall(found["labels"] or "")),
            value=float(found["value"]) if found["value"] else None,
        )
        for found in _METRIC.finditer(cell)
    ]


def expected_status(cell: str) -> int | None:
    """Return the status that a cell opens with, or None where the client gets no whole answer."""
    found = _STATUS.match(cell)
    return int(found[1]) if found else None
