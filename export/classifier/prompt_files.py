"""Labelled prompts to measure on: any JSONL with a text and a label, or the prompts of this project that ship."""

from pathlib import Path
from typing import Any

import msgspec

from export.errors import TrainingDataInvalid

SHIPPED_PROMPTS = Path(__file__).parents[1] / "evaluation" / "evaluation_prompts.jsonl"
LABEL_FIELDS = ("label", "binary")


class EvaluationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled prompt, and the groups it is counted in."""

    text: str
    label: str
    source: str
    language: str


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a file, and where it stands, to be named when it cannot be used."""

    file: Path
    number: int
    values: dict[str, Any]

    def invalid(self, field: str, expected: str) -> TrainingDataInvalid:
        reason = f'"{field}": expected {expected}, got {self.values.get(field)!r:.60}'
        return TrainingDataInvalid(self.file, self.number, reason)


def read_evaluation_rows(file: Path, labels: list[str], label_field: str | None = None) -> list[EvaluationRow]:
    """Read the file; without a `label_field`, take whichever of `label` and `binary` holds the classifier's labels.

    Raises TrainingDataInvalid with the line that cannot be used.
    """
    rows = _read_rows(file)
    field = label_field or _find_label_field(rows[0], labels)
    return [
        EvaluationRow(
            text=_text(row),
            label=_label(row, field, labels),
            source=str(row.values.get("source", "unnamed")),
            language=str(row.values.get("lang", "unknown")),
        )
        for row in rows
    ]


def read_texts(file: Path) -> list[str]:
    """Read the texts of a JSONL file, whatever else its rows hold."""
    return [_text(row) for row in _read_rows(file)]


def _read_rows(file: Path) -> list[_Row]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError as exc:
        raise TrainingDataInvalid(file, None, exc.strerror or str(exc)) from exc
    rows = [_read_row(file, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise TrainingDataInvalid(file, None, "expected labelled prompts, got an empty file")
    return rows


def _read_row(file: Path, number: int, line: bytes) -> _Row:
    try:
        return _Row(file=file, number=number, values=msgspec.json.decode(line, type=dict[str, Any]))
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise TrainingDataInvalid(file, number, f"expected a JSON object: {exc}") from exc


def _find_label_field(row: _Row, labels: list[str]) -> str:
    return next((field for field in LABEL_FIELDS if row.values.get(field) in labels), LABEL_FIELDS[0])


def _label(row: _Row, field: str, labels: list[str]) -> str:
    label = row.values.get(field)
    if label not in labels:
        raise row.invalid(field, f"one of the labels {labels}")
    return str(label)


def _text(row: _Row) -> str:
    text = row.values.get("text")
    if not isinstance(text, str) or not text.strip():
        raise row.invalid("text", "a text")
    return text
