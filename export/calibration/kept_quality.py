"""Choose a policy's cutoff by outcomes: keep so much of the stronger model's quality, or spend at most so much."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from export.errors import GoalUnreachable
from export.evaluation.metrics import Figure
from export.outcomes.costs import read_costs
from export.outcomes.curve import Counts, Numbers, draw_counts, interval, mean, with_interval
from export.outcomes.rows import Wanted, read_outcomes
from export.outcomes.scoring import score_with_bundle, score_with_log
from routing_policy.decision import decide
from routing_policy.policy import Policy

from .cutoffs import CUTOFFS, Judged, scores_for, with_cutoff

RESAMPLES = 1000
MOST_CANDIDATES = 200
Sent = npt.NDArray[np.bool_]  # [cutoffs, rows]: does the row go to the target?


class QualityGoal(msgspec.Struct, frozen=True, kw_only=True):
    """What to reach: this share of the stronger model's quality, or at most this share of its calls or extra cost."""

    target: str
    kind: Literal["keep_quality", "budget"]
    bound: float


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with their scores, the two qualities [rows] and what the stronger model costs more [rows], 1 for calls."""

    judged: Sequence[Judged]
    strong: Numbers
    weak: Numbers
    extra: Numbers


class QualityOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a cutoff does: `cutoff` with the interval of the choice itself over resampled rows."""

    cutoff: Figure
    share: Figure
    spent: Figure
    quality: Figure
    kept: Figure
    over_random: Figure


def choose_by_quality(policy: Policy, rows: Judgement, goal: QualityGoal) -> QualityOutcome:
    """Return the cutoff that sends least and keeps the quality, or that sends most within the budget.

    Raises GoalUnreachable when none of them does.
    """
    cutoffs = candidates(policy, rows.judged, goal.target)
    sent = np.array(
        [_sent(with_cutoff(policy, goal.target, float(cutoff)), rows.judged, goal.target) for cutoff in cutoffs]
    )
    counts = draw_counts(len(rows.strong), RESAMPLES)
    chosen = _choose(np.ones((1, len(rows.strong))), sent, rows, goal)[0]
    if chosen < 0:
        raise GoalUnreachable(goal.kind, goal.bound, len(rows.strong))
    draws = np.concatenate([_choose(each[None, :].astype(np.float64), sent, rows, goal) for each in counts])
    found = np.where(draws < 0, np.nan, cutoffs[np.maximum(draws, 0)])
    return _outcome(interval(np.r_[cutoffs[chosen], found]), sent[chosen].astype(np.float64), rows, counts)


def candidates(policy: Policy, judged: Sequence[Judged], target: str) -> Numbers:
    """Return cutoffs to try, lowest first: hundredths, and places between the scores, which may be crowded."""
    scores = np.unique([score for each in judged for score in scores_for(policy, target, each.scores)])
    between = np.round((scores[1:] + scores[:-1]) / 2, 6)
    kept = (
        between[np.unique(np.linspace(0, len(between) - 1, MOST_CANDIDATES).astype(int))] if len(between) else between
    )
    found = np.unique(np.r_[CUTOFFS, kept])
    return np.asarray(found[(found > 0) & (found < 1)])


def _sent(policy: Policy, judged: Sequence[Judged], target: str) -> Sent:
    return np.array([decide(policy, each.scores).target.name == target for each in judged])


def _choose(weights: Numbers, sent: Sent, rows: Judgement, goal: QualityGoal) -> npt.NDArray[np.int64]:
    """Return the place of the best cutoff for each draw, -1 where none will do."""
    chosen = sent.T.astype(np.float64)
    spent = (weights * rows.extra) @ chosen / (weights * rows.extra).sum(axis=1, keepdims=True)
    if goal.kind == "budget":
        fits, worth = spent <= goal.bound + 1e-9, spent
    else:
        gained = (weights * (rows.strong - rows.weak)) @ chosen + (weights * rows.weak).sum(axis=1, keepdims=True)
        fits = gained >= goal.bound * (weights * rows.strong).sum(axis=1, keepdims=True) - 1e-9
        worth = -spent
    best = np.where(fits, worth, -np.inf).argmax(axis=1)
    return np.where(fits.any(axis=1), best, -1)


def _outcome(cutoff: Figure, chosen: Numbers, rows: Judgement, counts: Counts) -> QualityOutcome:
    gain = rows.strong - rows.weak

    def quality(weights: Numbers) -> Numbers:
        return mean(weights, rows.weak + chosen * gain)

    return QualityOutcome(
        cutoff=cutoff,
        share=with_interval(lambda weights: mean(weights, chosen), counts),
        spent=with_interval(lambda w: mean(w, chosen * rows.extra) / mean(w, rows.extra), counts),
        quality=with_interval(quality, counts),
        kept=with_interval(lambda weights: quality(weights) / mean(weights, rows.strong), counts),
        over_random=with_interval(lambda w: quality(w) - mean(w, rows.weak) - mean(w, chosen) * mean(w, gain), counts),
    )


def read_judgement(  # noqa: PLR0917 - files, policy and names of one command
    outcomes: Path,
    scorer: tuple[Path | None, Path | None],
    policy: Policy,
    target: str,
    names: tuple[str | None, str | None, tuple[str, ...]],
) -> tuple[Judgement, str]:
    """Read outcome rows with their scores, and say what `extra` counts."""
    strong, weak, sources = names
    read = read_outcomes(outcomes, Wanted(strong=strong, weak=weak, sources=sources, likely_strong=target))
    directory, log = scorer
    if directory is not None:
        scored = score_with_bundle(directory, read.pairs, policy)
    else:
        scored = score_with_log(log or outcomes, outcomes, read.pairs, policy)
    costs = read_costs(outcomes, read.pairs, {})
    qualities = [(pair.strong.quality, pair.weak.quality) for pair in read.pairs]
    better, cheaper = np.array(qualities).T
    judgement = Judgement(
        judged=[Judged(scores=scores) for scores in scored.by_label],
        strong=better,
        weak=cheaper,
        extra=np.ones(len(read.pairs)) if costs is None else costs.strong - costs.weak,
    )
    return judgement, "calls" if costs is None else costs.unit
