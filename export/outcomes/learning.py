"""Learn from outcomes which prompts are worth the stronger model, and say first whether that is any better."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from export.bundle.bundling import BundleParts, describe_bundle
from export.classifier.inference import classify, open_classifier
from export.errors import TrainingDataInvalid
from export.evaluation.dress_gate import FIGURE, measure_dress
from export.evaluation.metrics import Figure
from routing_policy.bundle import MODEL_FILE, TOKENIZER_FILE, Bundle
from routing_policy.policy import NON_REASONING, REASONING

from .curve import Numbers, Ranking, area, draw, draw_counts, excludes_zero, interval
from .features import read_features, write_with_layer
from .head import Fitted, fit_head
from .rows import Outcomes, Pair, Wanted, fold_numbers, gains, read_outcomes
from .scoring import hard_score

FEWEST_ROWS = 50
RESAMPLES = 1000
BINS = 10
LABELS = [NON_REASONING, REASONING]
BUNDLE_FOLDER = "bundle"

Report = Callable[[str], None]


class Learnt(msgspec.Struct, frozen=True, kw_only=True):
    """What cross-validation says of a head: its APGR beside the bundle's own, on the same draws."""

    rows: int
    apgr: Figure
    apgr_before: Figure
    over_before: Figure
    over_chance: Figure
    calibration_error: float
    penalty: float

    @property
    def is_better(self) -> bool:
        return excludes_zero(self.over_before) and excludes_zero(self.over_chance)


def train_on_outcomes(file: Path, base: Path, output: Path, *, wanted: Wanted, report: Report) -> Bundle:
    """Write OUTPUT/bundle, which scores prompts by how likely the stronger model does better.

    Says first whether it is any better. Raises TrainingDataInvalid for too few rows, or several pairs of models.
    """
    outcomes = read_outcomes(file, wanted)
    _check(file, outcomes)
    classifier = open_classifier(base)
    pairs, texts = outcomes.pairs, [pair.text for pair in outcomes.pairs]
    features = read_features(base, classifier.bundle, texts)
    fitted = fit_head(features, gains(pairs), fold_numbers(texts))
    learnt = _measure(pairs, fitted, _scores_before(classifier, texts))
    for line in verdict(learnt):
        report(line)
    if outcomes.note:
        report(outcomes.note)
    return _write(base, classifier.bundle, output / BUNDLE_FOLDER, fitted, _figures(pairs, learnt))


def verdict(learnt: Learnt) -> list[str]:
    """Say first whether the new classifier is better, then by how much."""
    first = "better than the classifier it started from, and than chance"
    if not learnt.is_better:
        against = "chance" if not excludes_zero(learnt.over_chance) else "the classifier it started from"
        first = f"NOT BETTER: on these {learnt.rows} rows its gain over {against} may be none"
    return [
        first,
        f"APGR {_interval(learnt.apgr)}, before {_interval(learnt.apgr_before)}, chance 0.500; five folds",
        f"gain over before {_interval(learnt.over_before, '+')}, over chance {_interval(learnt.over_chance, '+')}",
        f"calibration error of its scores {learnt.calibration_error:.1%}",
    ]


def _check(file: Path, outcomes: Outcomes) -> None:
    if len(outcomes.pairs) < FEWEST_ROWS:
        reason = f"expected {FEWEST_ROWS} rows or more to learn from, got {len(outcomes.pairs)}"
        raise TrainingDataInvalid(file, None, reason)
    models = sorted({f"{pair.strong_model} over {pair.weak_model}" for pair in outcomes.pairs})
    if len(models) > 1:
        reason = f"expected one pair of models, as gains do not carry over; choose by --strong and --weak of {models}"
        raise TrainingDataInvalid(file, None, reason)
    if not gains(outcomes.pairs).sum() > 0:
        raise TrainingDataInvalid(file, None, f"the stronger model of {models[0]} gains nothing on these rows")


def _scores_before(classifier: Any, texts: list[str]) -> Numbers:
    labels = classifier.bundle.labels
    return np.array([hard_score(dict(zip(labels, row, strict=True))) for row in classify(classifier, texts)])


def _measure(pairs: Sequence[Pair], fitted: Fitted, before: Numbers) -> Learnt:
    gain, counts = gains(pairs), draw_counts(len(pairs), RESAMPLES)
    now, then = (draw(partial(_apgr, Ranking(scores), gain), counts) for scores in (fitted.scores, before))
    return Learnt(
        rows=len(pairs),
        apgr=interval(now),
        apgr_before=interval(then),
        over_before=interval(now - then),
        over_chance=interval(now - 0.5),
        calibration_error=_calibration_error(fitted.scores, np.clip(gain, 0, 1)),
        penalty=fitted.head.penalty,
    )


def _apgr(ranking: Ranking, gain: Numbers, weights: Numbers) -> Numbers:
    return area(ranking, weights, weights * gain)


def _calibration_error(scores: Numbers, truth: Numbers) -> float:
    """Return the mean distance of score and truth over bands of as many rows each."""
    bands = np.array_split(np.argsort(scores, kind="stable"), BINS)
    return float(sum(len(band) * abs(scores[band].mean() - truth[band].mean()) for band in bands) / len(scores))


def _figures(pairs: Sequence[Pair], learnt: Learnt) -> dict[str, Any]:
    models = {"strong": pairs[0].strong_model, "weak": pairs[0].weak_model}
    return {"outcomes": {**models, **msgspec.to_builtins(learnt), "better": learnt.is_better}}


def _write(  # noqa: PLR0917 - one step of `train_on_outcomes`
    base: Path, before: Bundle, folder: Path, fitted: Fitted, figures: dict[str, Any]
) -> Bundle:
    """Write the bundle; a dress that flips it is counted as of any other."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.stack([np.zeros_like(fitted.head.weights), fitted.head.weights])
    write_with_layer(base, before, weights, np.array([0.0, fitted.head.bias]), folder / MODEL_FILE)
    shutil.copyfile(base / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    parts = BundleParts(
        labels=LABELS,
        problem_type="single_label_classification",
        max_length=before.max_length,
        temperature=1.0,
        precision=before.precision,
        source={**before.source, "encoder_of": before.revision},
        figures=figures,
    )
    bundle = describe_bundle(folder, parts)
    dress = measure_dress(open_classifier(folder))
    if dress is None:
        return bundle
    with_dress = figures | {FIGURE: msgspec.to_builtins(dress)}
    return describe_bundle(folder, msgspec.structs.replace(parts, figures=with_dress))


def _interval(figure: Figure, sign: str = "") -> str:
    return f"{figure.value:{sign}.3f} ({figure.low:{sign}.3f} to {figure.high:{sign}.3f})"
