"""What routing by a score is worth: quality over the share of calls, or of the cost, that goes to the stronger model.

RouteLLM's figures (Ong et al. 2024): PGR, the share of the quality gap that is recovered; APGR, the area under PGR over
the share of calls to the stronger model, 0.5 at random; CPT(x), the least share of calls that recovers x of the gap.
Rows with the same score are sent in random order, of which these are the expected values.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from export.evaluation.metrics import CONFIDENCE_LEVEL, Figure

HALF, MOST = 0.5, 0.8  # of the gap, for CPT
CHUNK = 50  # draws at a time: bounds the memory with many rows

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint16]
# From weights [draws, rows], how often each row counts, to values whose last axis is the draws.
Measure = Callable[[Numbers], Numbers]


class Ranking:
    """Rows in the order in which they go to the stronger model, best first; rows with one score are one step."""

    def __init__(self, scores: Numbers) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def steps(self, values: Numbers) -> Numbers:
        """Sum `values` [draws, rows] over each step: [draws, steps]."""
        return np.asarray(np.add.reduceat(values[:, self._order], self._starts, axis=1))


def area(ranking: Ranking, across: Numbers, up: Numbers) -> Numbers:
    """Return for each draw the area under the running share of `up` over that of `across`, both [draws, rows].

    NaN where either sums to nothing or less, as the gain does where the stronger model is none.
    """
    x, y = (_shares(ranking.steps(values)) for values in (across, up))
    return np.asarray((x * (np.cumsum(y, axis=1) - y / 2)).sum(axis=1))


def calls_for(ranking: Ranking, weights: Numbers, gain: Numbers, wanted: float) -> Numbers:
    """Return for each draw the least share of calls that recovers the share `wanted` of all that is to be gained."""
    return _first_calls(_shares(ranking.steps(weights)), _shares(ranking.steps(weights * gain)), wanted)


def gap_figures(ranking: Ranking, weights: Numbers, gain: Numbers) -> Numbers:
    """Return APGR, CPT(50) and CPT(80) of each draw, [3, draws]."""
    x, y = (_shares(ranking.steps(values)) for values in (weights, weights * gain))
    apgr = (x * (np.cumsum(y, axis=1) - y / 2)).sum(axis=1)
    return np.stack([apgr, _first_calls(x, y, HALF), _first_calls(x, y, MOST)])


def mean(weights: Numbers, values: Numbers) -> Numbers:
    return np.asarray((weights * values).sum(axis=1) / weights.sum(axis=1))


def curve_points(ranking: Ranking, across: Numbers, up: Numbers, points: int = 21) -> list[tuple[float, float]]:
    """Return `points` of the curve: the share of `across` [rows] spent and that of `up` gained, from none to all."""
    x, y = (np.r_[0.0, np.cumsum(_shares(ranking.steps(values[None, :])))] for values in (across, up))
    at = np.linspace(0, 1, points)
    return [(float(each), float(value)) for each, value in zip(at, np.interp(at, x, y), strict=True)]


def draw_counts(rows: int, resamples: int) -> Counts:
    """Return how often each row is in each bootstrap sample [resamples, rows]; the same numbers each time."""
    generator = np.random.default_rng(0)
    draws = [np.bincount(generator.integers(0, rows, rows), minlength=rows) for _ in range(resamples)]
    return np.array(draws, dtype=np.uint16)


def draw(measure: Measure, counts: Counts) -> Numbers:
    """Return the measure of all rows, and behind it those of the draws, along the last axis."""
    found = [measure(np.ones((1, counts.shape[1])))]
    found += [measure(counts[at : at + CHUNK].astype(np.float64)) for at in range(0, len(counts), CHUNK)]
    return np.concatenate(found, axis=-1)


def interval(drawn: Numbers) -> Figure:
    """Return the first value with the 95 % interval of the others; NaN where it is not defined."""
    value, defined = float(drawn[0]), drawn[1:][~np.isnan(drawn[1:])]
    if np.isnan(value) or not defined.size:
        return Figure(value=value, low=float("nan"), high=float("nan"))
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Figure(value=value, low=float(low), high=float(high))


def with_interval(measure: Measure, counts: Counts) -> Figure:
    return interval(draw(measure, counts))


def excludes_zero(figure: Figure) -> bool:
    """Tell whether a difference is one: its whole interval lies above 0."""
    return figure.low > 0


def _shares(steps: Numbers) -> Numbers:
    total = steps.sum(axis=1, keepdims=True)
    return np.asarray(steps / np.where(total > 0, total, np.nan))


def _first_calls(x: Numbers, y: Numbers, wanted: float) -> Numbers:
    recovered = np.cumsum(y, axis=1)
    first = (recovered >= wanted - 1e-9).argmax(axis=1)  # the last step recovers all, but for rounding
    at = np.arange(len(x)), first
    missing = np.clip((wanted - (recovered[at] - y[at])) / np.where(y[at] > 0, y[at], np.nan), 0, 1)
    return np.asarray(np.cumsum(x, axis=1)[at] - x[at] * (1 - missing))
