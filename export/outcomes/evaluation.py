"""Measure a classifier, a policy and simpler rankings by what two models made of the same prompts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from export.evaluation.metrics import Figure

from .costs import Costs
from .curve import (
    Counts,
    Numbers,
    Ranking,
    area,
    curve_points,
    draw,
    draw_counts,
    excludes_zero,
    gap_figures,
    interval,
    mean,
    with_interval,
)
from .rankings import ORACLE, RANDOM, baseline_scores
from .rows import Outcomes, Pair, gains, group_by_pair
from .scoring import Scored

UNKNOWN = Figure(value=math.nan, low=math.nan, high=math.nan)
Points = list[tuple[float, float]]


class RankingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What routing by one score is worth. `behind` is how much higher the classifier's APGR is."""

    name: str
    apgr: Figure
    calls_for_half: Figure
    calls_for_most: Figure
    apgr_by_cost: Figure  # NaN where the cost is not known
    behind: Figure


class AtCutoff(msgspec.Struct, frozen=True, kw_only=True):
    """The policy as it stands: what it sends to the stronger model, and the quality beside as many sent at random."""

    share: Figure
    quality: Figure
    random_quality: Figure
    better_by: Figure
    cost_share: Figure  # of the extra cost of sending everything; NaN where it is not known


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one source, or all of them; the classifier's is the first of `rankings`."""

    name: str
    rows: int
    strong_quality: Figure
    weak_quality: Figure
    difference: Figure
    rankings: list[RankingFigures]
    at_cutoff: AtCutoff
    by_calls: dict[str, Points]  # quality over the share of calls
    by_cost: dict[str, Points]  # and over the share of the extra cost


class OutcomeReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `semrouter eval --outcomes` reports; its JSON form is this struct."""

    classifier: str
    data: str
    rows: int
    left_out: int
    cutoff: str
    cost_unit: str | None
    notes: list[str]
    groups: list[Group]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The rows with what is known of them."""

    outcomes: Outcomes
    scored: Scored
    sent: npt.NDArray[np.bool_]
    costs: Costs | None


def evaluate_outcomes(judged: Judged, data: Path, cutoff: str, resamples: int) -> OutcomeReport:
    """Measure all rows and, where there are several, each source for itself."""
    pairs = judged.outcomes.pairs
    of_source = group_by_pair(pairs)
    place = {id(pair): row for row, pair in enumerate(pairs)}
    members = {name: np.array([place[id(pair)] for pair in group]) for name, group in of_source.items()}
    everything = {"all": np.arange(len(pairs))} if len(members) > 1 else {}
    groups = [_group(name, judged, rows, resamples) for name, rows in {**everything, **members}.items()]
    return OutcomeReport(
        classifier=judged.scored.name,
        data=data.name,
        rows=len(pairs),
        left_out=judged.outcomes.left_out,
        cutoff=cutoff,
        cost_unit=judged.costs.unit if judged.costs else None,
        notes=[judged.outcomes.note] if judged.outcomes.note else [],
        groups=groups,
    )


def no_better(group: Group) -> str | None:
    """Say why nothing follows from the rows of a group; None where the stronger model is shown to be one."""
    if excludes_zero(group.difference):
        return None
    return (
        f"{group.name}: the stronger model is not shown to be better here"
        f" ({100 * group.difference.value:+.1f} points, {100 * group.difference.low:+.1f} to"
        f" {100 * group.difference.high:+.1f}): what is below says nothing"
    )


def _group(name: str, judged: Judged, rows: npt.NDArray[np.int64], resamples: int) -> Group:
    pairs = [judged.outcomes.pairs[row] for row in rows]
    counts, gain = draw_counts(len(pairs), resamples), gains(pairs)
    extra = np.zeros(len(pairs)) if judged.costs is None else (judged.costs.strong - judged.costs.weak)[rows]
    scores = {judged.scored.name: judged.scored.ranks[rows], **baseline_scores(pairs)}
    rankings = {each: Ranking(values) for each, values in scores.items()}
    weak = np.array([pair.weak.quality for pair in pairs])
    drawn = {judged.scored.name, RANDOM, ORACLE}
    return Group(
        name=name,
        rows=len(pairs),
        strong_quality=with_interval(lambda weights: mean(weights, weak + gain), counts),
        weak_quality=with_interval(lambda weights: mean(weights, weak), counts),
        difference=with_interval(lambda weights: mean(weights, gain), counts),
        rankings=[*_all_figures(rankings, gain, extra, counts)],
        at_cutoff=_at_cutoff(judged.sent[rows], weak, gain, extra, counts),
        by_calls={each: _quality_curve(rankings[each], np.ones(len(pairs)), weak, gain) for each in drawn},
        by_cost={each: _quality_curve(rankings[each], extra, weak, gain) for each in drawn},
    )


def _figures(name: str, drawn: Numbers, of_first: Numbers, by_cost: Figure) -> RankingFigures:
    """Return the figures of a ranking from its draws and those of the classifier, each [APGR and two CPT, draws]."""
    apgr, half, most = drawn
    return RankingFigures(
        name=name,
        apgr=interval(apgr),
        calls_for_half=interval(half),
        calls_for_most=interval(most),
        apgr_by_cost=by_cost,
        behind=interval(of_first[0] - apgr),
    )


def _all_figures(
    rankings: Mapping[str, Ranking], gain: Numbers, extra: Numbers, counts: Counts
) -> Iterator[RankingFigures]:
    """Measure the rankings on the same draws, the classifier first."""
    of_first = None
    for name, ranking in rankings.items():
        drawn = draw(partial(_gap, ranking, gain), counts)
        of_first = drawn if of_first is None else of_first
        by_cost = with_interval(partial(_area_by_cost, ranking, gain, extra), counts) if extra.any() else UNKNOWN
        yield _figures(name, drawn, of_first, by_cost)


def _gap(ranking: Ranking, gain: Numbers, weights: Numbers) -> Numbers:
    return gap_figures(ranking, weights, gain)


def _area_by_cost(ranking: Ranking, gain: Numbers, extra: Numbers, weights: Numbers) -> Numbers:
    return area(ranking, weights * extra, weights * gain)


def _at_cutoff(  # noqa: PLR0917 - one step of `_group`
    sent: npt.NDArray[np.bool_], weak: Numbers, gain: Numbers, extra: Numbers, counts: Counts
) -> AtCutoff:
    chosen = sent.astype(np.float64)

    def at_random(weights: Numbers) -> Numbers:
        return mean(weights, weak) + mean(weights, chosen) * mean(weights, gain)

    def quality(weights: Numbers) -> Numbers:
        return mean(weights, weak + chosen * gain)

    def spent(weights: Numbers) -> Numbers:
        total = (weights * extra).sum(axis=1)
        return np.asarray((weights * chosen * extra).sum(axis=1) / np.where(total > 0, total, np.nan))

    return AtCutoff(
        share=with_interval(lambda weights: mean(weights, chosen), counts),
        quality=with_interval(quality, counts),
        random_quality=with_interval(at_random, counts),
        better_by=with_interval(lambda weights: quality(weights) - at_random(weights), counts),
        cost_share=with_interval(spent, counts),
    )


def _quality_curve(ranking: Ranking, across: Numbers, weak: Numbers, gain: Numbers) -> Points:
    """Return points of quality over the share of `across`."""
    start, total = float(weak.mean()), float(gain.mean())
    return [(x, start + y * total) for x, y in curve_points(ranking, across, gain) if not np.isnan(y)]


def listed(pairs: Sequence[Pair]) -> str:
    """Name the models that are compared."""
    names = sorted({f"{pair.strong_model} over {pair.weak_model}" for pair in pairs})
    return names[0] if len(names) == 1 else f"{len(names)} pairs of models"
