"""How much a prompt seems to need the stronger model: by a bundle, or by what a decision log says was decided."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from export.classifier.inference import classify, open_classifier
from export.errors import TrainingDataInvalid
from export.evaluation.dress_flips import easy_label
from export.labelling.log_lines import log_lines
from routing_policy.decision import decide
from routing_policy.policy import REASONING, BinaryPolicy, Policy, RulesPolicy
from routing_policy.policy_checks import check_labels

from .curve import Numbers
from .rows import Pair

DEFAULT_CUTOFF = 0.5


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """Who scored the rows, their scores by label, and the one number a row is ranked by: all but the easy label."""

    name: str
    by_label: list[dict[str, float]]

    @property
    def ranks(self) -> Numbers:
        return np.array([hard_score(scores) for scores in self.by_label])


def hard_score(scores: Mapping[str, float]) -> float:
    """Return the score for the labels that are worth the stronger model."""
    if set(scores) >= {REASONING} and len(scores) <= 2:  # noqa: PLR2004 - reasoning or not
        return scores[REASONING]
    labels = [*scores]
    return 1 - scores[labels[easy_label(labels)]]


def score_with_bundle(directory: Path, pairs: Sequence[Pair], policy: Policy | None) -> Scored:
    classifier = open_classifier(directory)
    labels = classifier.bundle.labels
    if policy is not None:
        check_labels(policy, labels)
    texts = list(dict.fromkeys(pair.text for pair in pairs))
    of_text = dict(zip(texts, classify(classifier, texts), strict=True))
    return Scored(
        name=f"bundle {classifier.bundle.revision}",
        by_label=[dict(zip(labels, map(float, of_text[pair.text]), strict=True)) for pair in pairs],
    )


def score_with_log(log: Path, outcomes: Path, pairs: Sequence[Pair], policy: Policy | None) -> Scored:
    """Take the scores that the decisions of `log` had, joined by request_id.

    Raises TrainingDataInvalid for a row whose request the log has no scores of, or has with other labels.
    """
    logged = {line.request_id: line.scores for _, line in log_lines(log) if line.request_id and line.scores}
    for pair in pairs:
        if pair.request_id is None:
            raise TrainingDataInvalid(outcomes, pair.line, "expected a request_id, by which it is found in the log")
        if pair.request_id not in logged:
            raise TrainingDataInvalid(outcomes, pair.line, f"{log} has no scores of request {pair.request_id!r}")
    by_label = [logged[pair.request_id or ""] for pair in pairs]
    if policy is not None:
        check_labels(policy, [*by_label[0]])
    for pair, scores in zip(pairs, by_label, strict=True):
        if scores.keys() != by_label[0].keys():
            reason = f"{log} has scores for {[*scores]} of it, and for {[*by_label[0]]} of the first row"
            raise TrainingDataInvalid(outcomes, pair.line, reason)
    return Scored(name=f"decisions of {log.name}", by_label=by_label)


def sent_to_strong(scored: Scored, policy: Policy | None) -> npt.NDArray[np.bool_]:
    """Tell which rows the policy sends to its dearer target; without one, those whose score is 0.5 or more."""
    if policy is None:
        return np.asarray(scored.ranks >= DEFAULT_CUTOFF)
    dear = default_target(policy)
    return np.array([decide(policy, scores).target.name == dear for scores in scored.by_label])


def default_target(policy: Policy) -> str:
    """Return the expensive target: the reasoning model, or where the first rule leads."""
    match policy:
        case BinaryPolicy():
            return policy.reasoning.name
        case RulesPolicy():
            return policy.rules[0].target.name
