"""Scores to choose a cutoff on: a bundle's on labelled prompts, or those of a decision log, which needs no labels."""

from collections.abc import Sequence
from pathlib import Path

from export.classifier.inference import Classifier, classify
from export.classifier.prompt_files import EvaluationRow
from export.errors import TrainingDataInvalid
from export.labelling.log_lines import log_lines

from .cutoffs import Judged


def judge(classifier: Classifier, rows: Sequence[EvaluationRow]) -> list[Judged]:
    scores = classify(classifier, [row.text for row in rows])
    labels = classifier.bundle.labels
    return [
        Judged(scores=dict(zip(labels, map(float, values), strict=True)), label=row.label)
        for values, row in zip(scores, rows, strict=True)
    ]


def read_decision_log(file: Path, labels: set[str]) -> list[Judged]:
    """Take the scores of every logged decision; lines without any, as of requests nobody judged, are passed over.

    So are lines that a crash cut short. Raises TrainingDataInvalid for scores without one of `labels`, and for a log
    without a single decision.
    """
    try:
        judged = [_judged(file, number, line.scores, labels) for number, line in log_lines(file) if line.scores]
    except OSError as exc:
        raise TrainingDataInvalid(file, None, exc.strerror or str(exc)) from exc
    if not judged:
        raise TrainingDataInvalid(file, None, "expected decisions with scores, found none")
    return judged


def _judged(file: Path, number: int, scores: dict[str, float], labels: set[str]) -> Judged:
    if not labels <= set(scores):
        raise TrainingDataInvalid(file, number, f"expected scores for {sorted(labels)}, got {sorted(scores)}")
    return Judged(scores=scores)
