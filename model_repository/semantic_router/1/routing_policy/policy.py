"""What a routing policy is once loaded: the guide's two forms as frozen values, and the checks on their meaning."""

from collections.abc import Iterable
from typing import Any

import msgspec

from .errors import PolicyInvalid

REASONING = "reasoning"
NON_REASONING = "non-reasoning"
LOWEST_BINARY_CONFIDENCE = 0.5


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request may go. `name` is reported, `model` is forwarded, `params` are merged into the body."""

    name: str
    model: str
    params: dict[str, Any]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    min_conf: float


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    when_any: tuple[Condition, ...]
    target: Target
    rationale: str


class BinaryPolicy(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Reasoning or general; abstains below `threshold_min_conf`."""

    reasoning: Target
    general: Target
    abstain: Target
    threshold_min_conf: float
    reasoning_cutoff: float
    classifier: str
    revision: str
    file: str


class RulesPolicy(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ordered rules over any label set; abstains below `threshold_min_conf` or when no rule matches."""

    rules: tuple[Rule, ...]
    abstain: Target
    threshold_min_conf: float
    weights: dict[str, float]
    classifier: str
    revision: str
    file: str


Policy = BinaryPolicy | RulesPolicy


def policy_targets(policy: Policy) -> dict[str, Target]:
    """Return every target the policy can decide for, by name, the abstain target first."""
    match policy:
        case BinaryPolicy():
            targets = [policy.abstain, policy.general, policy.reasoning]
        case RulesPolicy():
            targets = [policy.abstain, *(rule.target for rule in policy.rules)]
    return {target.name: target for target in targets}


def target_paths(policy: Policy) -> list[tuple[str, Target]]:
    """Return every place in the policy that names a target, as a path, with the target."""
    abstain = ("$.abstain_onprem_model", policy.abstain)
    match policy:
        case BinaryPolicy():
            return [abstain, ("$.reasoning_model", policy.reasoning), ("$.general_model", policy.general)]
        case RulesPolicy():
            return [abstain, *((f"$.rules[{i}].route_onprem_model", r.target) for i, r in enumerate(policy.rules))]


def policy_labels(policy: RulesPolicy) -> set[str]:
    return {label for _, label in _named_labels(policy)}


def check_labels(policy: Policy, labels: list[str]) -> None:
    """Raise PolicyInvalid unless a classifier with `labels` can serve the policy."""
    for error in label_errors(policy, labels):
        raise error


def label_errors(policy: Policy, labels: list[str]) -> list[PolicyInvalid]:
    """Return what keeps a classifier with `labels` from serving the policy."""
    match policy:
        case BinaryPolicy():
            if set(labels) == {REASONING, NON_REASONING}:
                return []
            expected = f"expected a classifier with exactly the labels {NON_REASONING} and {REASONING}"
            return [PolicyInvalid(policy.file, "$", f"{expected}, got {policy.classifier} with {sorted(labels)}")]
        case RulesPolicy():
            expected = f"expected a label of {policy.classifier} {sorted(labels)}"
            return [
                PolicyInvalid(policy.file, path, f"{expected}, got {label!r}")
                for path, label in _named_labels(policy)
                if label not in labels
            ]


def check_served(policy: Policy, models: Iterable[str], upstreams_file: str) -> None:
    """Raise PolicyInvalid unless every target's model is one of `models`, those that `upstreams_file` names."""
    for error in target_errors(policy, models, upstreams_file):
        raise error


def target_errors(policy: Policy, models: Iterable[str], upstreams_file: str) -> list[PolicyInvalid]:
    """Return which targets have no upstream."""
    served = set(models)
    return [
        PolicyInvalid(policy.file, path, f"expected a model named in {upstreams_file}, got {target.model!r}")
        for path, target in target_paths(policy)
        if target.model not in served
    ]


def policy_warnings(policy: Policy) -> list[str]:
    """Say what the policy states to no effect, whatever the classifier."""
    match policy:
        case BinaryPolicy():
            return _never_abstains(policy)
        case RulesPolicy():
            return [*_rules_that_cannot_fire(policy), *_weights_without_rule(policy)]


def softmax_warnings(policy: Policy) -> list[str]:
    """Say which weights cannot matter when scores sum to 1: no two labels can reach their min_conf together."""
    match policy:
        case BinaryPolicy():
            return []
        case RulesPolicy():
            lowest = _lowest_min_conf(policy)
            return [
                f"$.weights.{label}: cannot matter: its min_conf and any other label's add up to more than 1"
                for label in policy.weights
                if label in lowest and all(lowest[label] + lowest[other] > 1 for other in lowest if other != label)
            ]


def _named_labels(policy: RulesPolicy) -> list[tuple[str, str]]:
    conditions = [
        (f"$.rules[{r}].when_any[{c}].label", condition.label)
        for r, rule in enumerate(policy.rules)
        for c, condition in enumerate(rule.when_any)
    ]
    return conditions + [(f"$.weights.{label}", label) for label in policy.weights]


def _never_abstains(policy: BinaryPolicy) -> list[str]:
    if policy.threshold_min_conf > LOWEST_BINARY_CONFIDENCE:
        return []
    return [f"$.threshold_min_conf: {policy.threshold_min_conf} never abstains: a binary confidence is at least 0.5"]


def _rules_that_cannot_fire(policy: RulesPolicy) -> list[str]:
    """Find rules whose every label an earlier rule takes at the same or a lower min_conf: ties go to the earlier."""
    warnings: list[str] = []
    taken: dict[str, float] = {}
    for index, rule in enumerate(policy.rules):
        if all(taken.get(condition.label, 2.0) <= condition.min_conf for condition in rule.when_any):
            warnings.append(
                f"$.rules[{index}]: cannot fire: earlier rules take its labels at the same or lower min_conf"
            )
        for condition in rule.when_any:
            taken[condition.label] = min(condition.min_conf, taken.get(condition.label, 2.0))
    return warnings


def _weights_without_rule(policy: RulesPolicy) -> list[str]:
    used = _lowest_min_conf(policy)
    return [
        f"$.weights.{label}: cannot matter: no rule names this label" for label in policy.weights if label not in used
    ]


def _lowest_min_conf(policy: RulesPolicy) -> dict[str, float]:
    lowest: dict[str, float] = {}
    for rule in policy.rules:
        for condition in rule.when_any:
            lowest[condition.label] = min(condition.min_conf, lowest.get(condition.label, 1.0))
    return lowest
