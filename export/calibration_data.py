"""Scores to choose a cutoff on: a bundle's on labelled prompts, or those of a decision log, which needs no labels."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from .calibration import Judged
from .errors import TrainingDataInvalid
from .evaluation_data import EvaluationRow
from .inference import Classifier, classify


def judge(classifier: Classifier, rows: Sequence[EvaluationRow]) -> list[Judged]:
    scores = classify(classifier, [row.text for row in rows])
    labels = classifier.bundle.labels
    return [
        Judged(scores=dict(zip(labels, map(float, values), strict=True)), label=row.label)
        for values, row in zip(scores, rows, strict=True)
    ]


def read_decision_log(file: Path, labels: set[str]) -> list[Judged]:
    """Take the scores of every logged decision; lines without any, as of requests nobody judged, are passed over.

    Raises TrainingDataInvalid for a line that is not JSON, for scores without one of `labels`, and for a log
    without a single decision.
    """
    try:
        lines = file.read_bytes().splitlines()
    except OSError as exc:
        raise TrainingDataInvalid(file, None, exc.strerror or str(exc)) from exc
    judged = [each for number, line in enumerate(lines, start=1) if (each := _read(file, number, line, labels))]
    if not judged:
        raise TrainingDataInvalid(file, None, "expected decisions with scores, found none")
    return judged


class _LogLine(msgspec.Struct, frozen=True):
    scores: dict[str, float] | None = None


def _read(file: Path, number: int, line: bytes, labels: set[str]) -> Judged | None:
    try:
        scores = msgspec.json.decode(line, type=_LogLine).scores
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise TrainingDataInvalid(file, number, f"expected a line of the decision log: {exc}") from exc
    if scores is None:
        return None
    if not labels <= set(scores):
        raise TrainingDataInvalid(file, number, f"expected scores for {sorted(labels)}, got {sorted(scores)}")
    return Judged(scores=scores)
