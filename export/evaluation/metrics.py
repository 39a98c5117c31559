"""How good scores are: the figures of an evaluation as pure functions of scores [rows, labels] and truth [rows]."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.int64]
Metric = Callable[[Scores, Truth], float]

CALIBRATION_BINS = 15
CONFIDENCE_LEVEL = 0.95
NORMAL_QUANTILE = 1.96  # of that level


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A value and the bounds of its 95 % interval, from resampled rows unless said otherwise."""

    value: float
    low: float
    high: float


class CalibrationBin(msgspec.Struct, frozen=True, kw_only=True):
    """The rows whose confidence lies in one interval: how sure the classifier was, and how often it was right."""

    confidence: float
    accuracy: float
    rows: int


def accuracy(scores: Scores, truth: Truth) -> float:
    return float((scores.argmax(axis=1) == truth).mean())


def confusion(scores: Scores, truth: Truth) -> npt.NDArray[np.int64]:
    """Return counts [truth, predicted]."""
    labels = scores.shape[1]
    return np.bincount(truth * labels + scores.argmax(axis=1), minlength=labels**2).reshape(labels, labels)


def macro_f1(scores: Scores, truth: Truth) -> float:
    """Return the mean F1 over the labels that occur, as truth or as prediction."""
    counts = confusion(scores, truth)
    relevant = counts.sum(axis=0) + counts.sum(axis=1)
    occurring = relevant > 0
    return float((2 * np.diag(counts)[occurring] / relevant[occurring]).mean())


def auroc(scores: Scores, truth: Truth) -> float:
    """Return the area under the ROC curve, one label against the rest, averaged over labels with both sides.

    The Mann-Whitney statistic with average ranks for ties; NaN where no label has both sides.
    """
    areas = [_area(scores[:, label], truth == label) for label in range(scores.shape[1])]
    defined = [area for area in areas if not np.isnan(area)]
    return float(np.mean(defined)) if defined else float("nan")


def brier(scores: Scores, truth: Truth) -> float:
    """Return the mean squared distance to the right answer: 0 is perfect, 2 is sure and wrong (Brier 1950)."""
    return float(((scores - np.eye(scores.shape[1])[truth]) ** 2).sum(axis=1).mean())


def calibration_error(scores: Scores, truth: Truth) -> float:
    """Return the expected calibration error of the top score over 15 bins of equal width (Guo et al. 2017)."""
    bins = calibration_bins(scores, truth)
    return sum(each.rows * abs(each.confidence - each.accuracy) for each in bins) / len(truth)


def calibration_bins(scores: Scores, truth: Truth) -> list[CalibrationBin]:
    """Return the occupied bins of the top score, lowest first."""
    confidence = scores.max(axis=1)
    right = scores.argmax(axis=1) == truth
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        CalibrationBin(
            confidence=float(confidence[bins == each].mean()),
            accuracy=float(right[bins == each].mean()),
            rows=int((bins == each).sum()),
        )
        for each in np.unique(bins)
    ]


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "auroc": auroc,
    "ece": calibration_error,
    "brier": brier,
}


def with_interval(metric: Metric, scores: Scores, truth: Truth, resamples: int) -> Figure:
    """Return `metric` with the interval it has over resampled rows; the same rows give the same interval."""
    draws = [metric(scores[rows], truth[rows]) for rows in _resampled(len(truth), resamples)]
    return _figure(metric(scores, truth), draws)


def difference_with_interval(metric: Metric, before: Scores, after: Scores, truth: Truth, *, resamples: int) -> Figure:
    """Return how much larger `metric` is of `after` than of `before`, both over the same resampled rows."""
    draws = [
        metric(after[rows], truth[rows]) - metric(before[rows], truth[rows])
        for rows in _resampled(len(truth), resamples)
    ]
    return _figure(metric(after, truth) - metric(before, truth), draws)


def mean_with_interval(values: npt.NDArray[Any], resamples: int) -> Figure:
    """Return the mean of one number per row; booleans give a share, differences a paired margin."""
    numbers = values.astype(np.float64)
    return _figure(float(numbers.mean()), [float(numbers[rows].mean()) for rows in _resampled(len(numbers), resamples)])


def median_with_interval(values: npt.NDArray[np.float64], resamples: int) -> Figure:
    return _figure(
        float(np.median(values)), [float(np.median(values[rows])) for rows in _resampled(len(values), resamples)]
    )


def wilson(right: npt.NDArray[np.bool_]) -> Figure:
    """Return the share that is right with its Wilson interval: sound in groups too small or too even to resample."""
    rows, value = len(right), float(right.mean())
    spread = NORMAL_QUANTILE**2 / rows
    centre = (value + spread / 2) / (1 + spread)
    half = NORMAL_QUANTILE * np.sqrt(value * (1 - value) / rows + spread / (4 * rows)) / (1 + spread)
    return Figure(value=value, low=float(max(centre - half, 0)), high=float(min(centre + half, 1)))


def _resampled(rows: int, resamples: int) -> Iterator[npt.NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    return (generator.integers(0, rows, rows) for _ in range(resamples))


def _figure(value: float, draws: list[float]) -> Figure:
    defined = [draw for draw in draws if not np.isnan(draw)] or [value]
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Figure(value=value, low=float(low), high=float(high))


def _area(score: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float:
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))
