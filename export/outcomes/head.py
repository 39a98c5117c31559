"""A last layer that predicts how much the stronger model adds: ridge regression, and an honest score."""

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from .curve import Numbers
from .rows import FOLDS

PENALTIES = np.geomspace(1, 1e5, 11)  # of standardised features
LEAST_SPREAD = 1e-6
NEWTON_STEPS = 50
LEAST_SLOPE = 1e-3  # of the score over the predicted gain, where nothing was learnt

Predict = Callable[[Numbers], Numbers]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """score = sigmoid(features @ weights + bias): how likely the stronger model's answer is the better one."""

    weights: Numbers
    bias: float
    penalty: float


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """The head on all rows, and each row's score by one that was fitted to the other folds."""

    head: Head
    scores: Numbers


def fit_head(features: Numbers, gain: Numbers, folds: npt.NDArray[np.int64]) -> Fitted:
    """Fit to `features` [rows, width] and `gain` [rows] in -1..1."""
    predicted = np.zeros(len(gain))
    for fold in range(FOLDS):
        inside, rest = folds == fold, folds != fold
        if inside.any() and rest.any():
            weights, bias, _ = fit_ridge(features[rest], gain[rest])
            predicted[inside] = features[inside] @ weights + bias
    slope, start = fit_logistic(predicted, np.clip(gain, 0, 1))
    weights, bias, penalty = fit_ridge(features, gain)
    head = Head(weights=slope * weights, bias=slope * bias + start, penalty=penalty)
    return Fitted(head=head, scores=_sigmoid(slope * predicted + start))


def fit_ridge(features: Numbers, target: Numbers) -> tuple[Numbers, float, float]:
    """Return weights, bias and the penalty with the least generalised cross-validation error (Golub et al. 1979)."""
    centre, spread = features.mean(axis=0), np.maximum(features.std(axis=0), LEAST_SPREAD)
    standard, wanted = (features - centre) / spread, target - target.mean()
    values, vectors = np.linalg.eigh(standard.T @ standard)
    values = np.maximum(values, 0)
    along = vectors.T @ (standard.T @ wanted)

    def error(penalty: float) -> float:
        shrunk = along / (values + penalty)
        residual = wanted @ wanted - 2 * along @ shrunk + values @ shrunk**2
        freedom = len(target) - 1 - (values / (values + penalty)).sum()
        return float(max(residual, 0) / max(freedom, LEAST_SPREAD) ** 2)

    penalty = float(min(PENALTIES, key=error))
    weights = (vectors @ (along / (values + penalty))) / spread
    return weights, float(target.mean() - centre @ weights), penalty


def fit_logistic(predicted: Numbers, target: Numbers) -> tuple[float, float]:
    """Return slope and start of the sigmoid that makes `predicted` the likelihood of `target` in 0..1 (Platt 1999)."""
    scale = max(float(predicted.std()), LEAST_SPREAD)
    columns = np.stack([predicted / scale, np.ones(len(predicted))], axis=1)
    found = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        likely = _sigmoid(columns @ found)
        slope = columns.T @ (target - likely) - 1e-3 * found
        curve = (columns * (likely * (1 - likely))[:, None]).T @ columns + 1e-3 * np.eye(2)
        found += np.clip(np.linalg.solve(curve, slope), -2, 2)
    return max(float(found[0]), LEAST_SLOPE) / scale, float(found[1])


def _sigmoid(values: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))
