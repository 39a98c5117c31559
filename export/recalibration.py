"""A bundle with another temperature: the same weights and tokenizer, a new revision, canaries scored anew."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from routing_policy.bundle import MODEL_FILE, TOKENIZER_FILE, Bundle
from routing_policy.clipping import clip_text
from routing_policy.scoring import scores_from_logits

from .baselines import label_indices
from .bundling import BundleParts, describe_bundle
from .evaluation_data import EvaluationRow
from .inference import Classifier, logits_in_buckets, open_classifier
from .metrics import Figure, calibration_error, with_interval
from .temperature import fit_temperature

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
