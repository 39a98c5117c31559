"""Choose a policy's cutoff by what it should achieve: at most so much traffic for a target, or so much precision."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from export.errors import GoalUnreachable
from export.evaluation.metrics import Figure, wilson
from routing_policy.decision import decide
from routing_policy.policy import REASONING, BinaryPolicy, Policy, RulesPolicy

CUTOFFS = [round(step / 100, 2) for step in range(1, 100)]
BETWEEN = 60  # places tried between two of them, where scores are crowded


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of one prompt and, where somebody labelled it, its right label."""

    scores: dict[str, float]
    label: str | None = None


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What to achieve for `target`: at most this share of all traffic, or at least this precision."""

    target: str
    kind: Literal["max_share", "min_precision"]
    bound: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a cutoff does on the judged prompts; `precision` is None without labels, or with nothing sent."""

    cutoff: float
    share: Figure
    precision: Figure | None


def choose_cutoff(policy: Policy, judged: Sequence[Judged], goal: Goal) -> Outcome:
    """Return what the lowest cutoff that meets the goal does; raises GoalUnreachable when none of them does.

    Every cutoff is tried with the policy's own `decide`, so abstaining and the other rules count as they will. First
    hundredths, then what lies between the scores below the first that will do: most scores of a sure classifier are
    within a hundredth of 0 or 1.
    """
    met = _first_met(policy, judged, goal, CUTOFFS)
    above = met.cutoff if met else 1.0
    below = max((cutoff for cutoff in CUTOFFS if cutoff < above), default=0.0)
    closer = _first_met(policy, judged, goal, _between_scores(policy, judged, goal.target, (below, above)))
    found = [each for each in (met, closer) if each is not None]
    if not found:
        raise GoalUnreachable(goal.kind, goal.bound, len(judged))
    return max(found, key=lambda outcome: outcome.share.value)  # of equals the hundredth, which is easier to read


def _first_met(policy: Policy, judged: Sequence[Judged], goal: Goal, cutoffs: Sequence[float]) -> Outcome | None:
    outcomes = (outcome_of(with_cutoff(policy, goal.target, cutoff), judged, goal.target, cutoff) for cutoff in cutoffs)
    return next((outcome for outcome in outcomes if _meets(outcome, goal)), None)


def _between_scores(policy: Policy, judged: Sequence[Judged], target: str, bounds: tuple[float, float]) -> list[float]:
    """Return cutoffs within the bounds that lie between two neighbouring scores, lowest first."""
    low, high = bounds
    scores = np.unique([score for each in judged for score in scores_for(policy, target, each.scores)])
    places = np.unique(np.round((scores[1:] + scores[:-1]) / 2, 6))
    inside = places[(places > low) & (places < high)]
    chosen = inside[np.unique(np.linspace(0, len(inside) - 1, BETWEEN).astype(int))] if len(inside) else inside
    return [float(place) for place in chosen]


def scores_for(policy: Policy, target: str, scores: Mapping[str, float]) -> list[float]:
    """Return the scores that a cutoff for `target` is compared with."""
    return [scores[label] for label in sorted(_labels_for(policy, target))]


def outcome_of(policy: Policy, judged: Sequence[Judged], target: str, cutoff: float) -> Outcome:
    sent = np.array([decide(policy, each.scores).target.name == target for each in judged])
    return Outcome(cutoff=cutoff, share=wilson(sent), precision=_precision(policy, judged, target, sent))


def with_cutoff(policy: Policy, target: str, cutoff: float) -> Policy:
    """Return the policy with its cutoff, or the min_conf of every rule that leads to `target`, at `cutoff`."""
    match policy:
        case BinaryPolicy():
            return msgspec.structs.replace(policy, reasoning_cutoff=cutoff)
        case RulesPolicy():
            rules = tuple(
                msgspec.structs.replace(
                    rule,
                    when_any=tuple(msgspec.structs.replace(each, min_conf=cutoff) for each in rule.when_any),
                )
                if rule.target.name == target
                else rule
                for rule in policy.rules
            )
            return msgspec.structs.replace(policy, rules=rules)


def cutoff_paths(policy: Policy, target: str) -> list[tuple[str | int, ...]]:
    """Return where in the policy's YAML the cutoff for `target` stands."""
    match policy:
        case BinaryPolicy():
            return [("reasoning_cutoff",)]
        case RulesPolicy():
            return [
                ("rules", index, "when_any", position, "min_conf")
                for index, rule in enumerate(policy.rules)
                if rule.target.name == target
                for position in range(len(rule.when_any))
            ]


def targets_with_cutoff(policy: Policy) -> set[str]:
    """Return the targets a cutoff decides over: the reasoning model, or wherever a rule leads."""
    match policy:
        case BinaryPolicy():
            return {policy.reasoning.name}
        case RulesPolicy():
            return {rule.target.name for rule in policy.rules}


def _precision(policy: Policy, judged: Sequence[Judged], target: str, sent: npt.NDArray[np.bool_]) -> Figure | None:
    wanted = _labels_for(policy, target)
    belongs = np.array([each.label in wanted for each in judged])
    if any(each.label is None for each in judged) or not sent.any():
        return None
    return wilson(belongs[sent])


def _labels_for(policy: Policy, target: str) -> set[str]:
    match policy:
        case BinaryPolicy():
            return {REASONING}
        case RulesPolicy():
            return {each.label for rule in policy.rules if rule.target.name == target for each in rule.when_any}


def _meets(outcome: Outcome, goal: Goal) -> bool:
    if goal.kind == "max_share":
        return outcome.share.value <= goal.bound
    return outcome.precision is not None and outcome.precision.value >= goal.bound
