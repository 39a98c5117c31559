"""Scores to choose a cutoff on: a bundle's on labelled prompts, or those of a decision log, which needs no labels."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from export.classifier.inference import Classifier, classify
from export.classifier.prompt_files import EvaluationRow
from export.errors import TrainingDataInvalid
from router_proxy.record.log_parts import read_log

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
        judged = [each for place, line in read_log(file) if (each := _read(place, line, labels))]
    except OSError as exc:
        raise TrainingDataInvalid(file, None, exc.strerror or str(exc)) from exc
    if not judged:
        raise TrainingDataInvalid(file, None, "expected decisions with scores, found none")
    return judged


class _LogLine(msgspec.Struct, frozen=True):
    scores: dict[str, float] | None = None


def _read(place: str, line: bytes, labels: set[str]) -> Judged | None:
    file, _, number = place.rpartition(":")
    try:
        scores = msgspec.json.decode(line, type=_LogLine).scores
    except msgspec.ValidationError as exc:
        reason = f"expected a line of the decision log: {exc}"
        raise TrainingDataInvalid(Path(file), int(number), reason) from exc
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if scores is None:
        return None
    if not labels <= set(scores):
        raise TrainingDataInvalid(
            Path(file), int(number), f"expected scores for {sorted(labels)}, got {sorted(scores)}"
        )
    return Judged(scores=scores)
