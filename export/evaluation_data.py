"""Labelled prompts to measure on: any JSONL with a text and a label, or the prompts of this project that ship."""

from pathlib import Path
from typing import Any

import msgspec

from .errors import TrainingDataInvalid

SHIPPED_PROMPTS = Path(__file__).parent / "evaluation_prompts.jsonl"
LABEL_FIELDS = ("label", "binary")


class EvaluationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled prompt, and the groups it is counted in."""

    text: str
    label: str
    source: str
    language: str


def read_evaluation_rows(file: Path, labels: list[str], label_field: str | None = None) -> list[EvaluationRow]:
    """Read the file; without a `label_field`, take whichever of `label` and `binary` holds the classifier's labels.

    Raises TrainingDataInvalid with the line that cannot be used.
    """
    rows = _read_objects(file)
    field = label_field or _find_label_field(rows[0], labels)
    return [_row(file, number, row, field, labels) for number, row in enumerate(rows, start=1)]


def read_texts(file: Path) -> list[str]:
    """Read the texts of a JSONL file, whatever else its rows hold."""
    return [_text(file, number, row) for number, row in enumerate(_read_objects(file), start=1)]


def _read_objects(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError as exc:
        raise TrainingDataInvalid(file, None, exc.strerror or str(exc)) from exc
    if not lines:
        raise TrainingDataInvalid(file, None, "expected labelled prompts, got an empty file")
    return [_read_object(file, number, line) for number, line in enumerate(lines, start=1)]


def _read_object(file: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise TrainingDataInvalid(file, number, f"expected a JSON object: {exc}") from exc


def _find_label_field(row: dict[str, Any], labels: list[str]) -> str:
    return next((field for field in LABEL_FIELDS if row.get(field) in labels), LABEL_FIELDS[0])


def _row(file: Path, number: int, row: dict[str, Any], field: str, labels: list[str]) -> EvaluationRow:  # noqa: PLR0917
    label = row.get(field)
    if label not in labels:
        reason = f'"{field}": expected one of the labels {labels}, got {label!r:.60}'
        raise TrainingDataInvalid(file, number, reason)
    return EvaluationRow(
        text=_text(file, number, row),
        label=label,
        source=str(row.get("source", "unnamed")),
        language=str(row.get("lang", "unknown")),
    )


def _text(file: Path, number: int, row: dict[str, Any]) -> str:
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise TrainingDataInvalid(file, number, f'"text": expected a text, got {text!r:.60}')
    return text
