"""One number that makes a classifier's confidence honest: the temperature its logits are divided by."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from export.bundle.bundling import BundleParts, describe_bundle
from export.classifier.inference import Classifier, logits_in_buckets, open_classifier
from export.classifier.prompt_files import EvaluationRow
from export.evaluation.baselines import label_indices
from export.evaluation.metrics import Figure, calibration_error, with_interval
from routing_policy.bundle import MODEL_FILE, TOKENIZER_FILE, Bundle
from routing_policy.clipping import clip_text
from routing_policy.scoring import scores_from_logits

RESAMPLES = 500


class Recalibration(msgspec.Struct, frozen=True, kw_only=True):
    """The new temperature and the calibration error (ECE) before and after, on the rows it was fitted to."""

    temperature: float
    rows: int
    error_before: Figure
    error_after: Figure


def recalibrate(directory: Path, output: Path, rows: Sequence[EvaluationRow]) -> tuple[Bundle, Recalibration]:
    """Fit a temperature to `rows` and write the bundle in `directory` with it to `output`."""
    classifier = open_classifier(directory)
    result = _fit(classifier, rows)
    bundle = classifier.bundle
    output.mkdir(parents=True, exist_ok=True)
    for name in (MODEL_FILE, TOKENIZER_FILE):
        shutil.copyfile(directory / name, output / name)
    parts = BundleParts(
        labels=bundle.labels,
        problem_type=bundle.problem_type,
        max_length=bundle.max_length,
        temperature=result.temperature,
        precision=bundle.precision,
        source=bundle.source,
        figures={**bundle.figures, "calibration": msgspec.to_builtins(result)},
    )
    return describe_bundle(output, parts), result


def _fit(classifier: Classifier, rows: Sequence[EvaluationRow]) -> Recalibration:
    bundle = classifier.bundle
    ids = [clip_text(classifier.tokenizer, row.text, bundle.max_length).ids for row in rows]
    logits = logits_in_buckets(classifier.session, ids, bundle.buckets, batch_size=16)
    truth = label_indices(rows, bundle.labels)
    temperature = round(fit_temperature(logits, truth), 4)
    before, after = (
        with_interval(
            calibration_error, np.asarray(scores_from_logits(logits, each, bundle.problem_type)), truth, RESAMPLES
        )
        for each in (bundle.temperature, temperature)
    )
    return Recalibration(temperature=temperature, rows=len(rows), error_before=before, error_after=after)


SEARCH_RANGE = (-2.5, 2.5)  # natural logarithms: a temperature between 1/12 and 12
SEARCH_STEPS = 60
GOLDEN = (5**0.5 - 1) / 2


def fit_temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Return the temperature with the least cross-entropy of `logits` [prompts, labels] against `labels` [prompts].

    The loss has one minimum in the logarithm's range, so a golden-section search finds it.
    """
    low, high = SEARCH_RANGE
    for _ in range(SEARCH_STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if cross_entropy(logits, labels, np.exp(left)) < cross_entropy(logits, labels, np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def cross_entropy(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], temperature: float) -> float:
    """Return the mean negative log-likelihood of `labels` under softmax(logits / temperature)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    log_scores = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return float(-log_scores[np.arange(len(labels)), labels].mean())
