"""Whether a policy can be served: its labels, its targets, and what it states to no effect."""

from collections.abc import Iterable

from .errors import PolicyInvalid
from .policy import (
    LOWEST_BINARY_CONFIDENCE,
    NON_REASONING,
    REASONING,
    BinaryPolicy,
    Policy,
    RulesPolicy,
    named_labels,
    target_paths,
)
from .problem import Problem, Severity


def check_labels(policy: Policy, labels: list[str]) -> None:
    """Raise PolicyInvalid unless a classifier with `labels` can serve the policy."""
    if problems := label_problems(policy, labels):
        raise PolicyInvalid(*problems)


def label_problems(policy: Policy, labels: list[str]) -> list[Problem]:
    """Return what keeps a classifier with `labels` from serving the policy."""
    match policy:
        case BinaryPolicy():
            if set(labels) == {REASONING, NON_REASONING}:
                return []
            expected = f"expected a classifier with exactly the labels {NON_REASONING} and {REASONING}"
            return [_problem(policy, "$", f"{expected}, got {policy.classifier} with {sorted(labels)}")]
        case RulesPolicy():
            expected = f"expected a label of {policy.classifier} {sorted(labels)}"
            return [
                _problem(policy, path, f"{expected}, got {label!r}")
                for path, label in named_labels(policy)
                if label not in labels
            ]


def check_served(policy: Policy, models: Iterable[str], upstreams_file: str) -> None:
    """Raise PolicyInvalid unless every target's model is one of `models`, those that `upstreams_file` names."""
    if problems := target_problems(policy, models, upstreams_file):
        raise PolicyInvalid(*problems)


def target_problems(policy: Policy, models: Iterable[str], upstreams_file: str) -> list[Problem]:
    """Return which targets have no upstream."""
    served = set(models)
    return [
        _problem(policy, path, f"expected a model named in {upstreams_file}, got {target.model!r}")
        for path, target in target_paths(policy)
        if target.model not in served
    ]


def policy_warnings(policy: Policy) -> list[Problem]:
    """Say what the policy states to no effect, whatever the classifier."""
    match policy:
        case BinaryPolicy():
            return _never_abstains(policy)
        case RulesPolicy():
            return [*_rules_that_cannot_fire(policy), *_weights_without_rule(policy)]


def softmax_warnings(policy: Policy) -> list[Problem]:
    """Say which weights cannot matter when scores sum to 1: no two labels can reach their min_conf together."""
    match policy:
        case BinaryPolicy():
            return []
        case RulesPolicy():
            lowest = _lowest_min_conf(policy)
            return [
                _warning(
                    policy,
                    f"$.weights.{label}",
                    "cannot matter: its min_conf and any other label's add up to more than 1",
                )
                for label in policy.weights
                if label in lowest and all(lowest[label] + lowest[other] > 1 for other in lowest if other != label)
            ]


def _never_abstains(policy: BinaryPolicy) -> list[Problem]:
    if policy.threshold_min_conf > LOWEST_BINARY_CONFIDENCE:
        return []
    reason = f"{policy.threshold_min_conf} never abstains: a binary confidence is at least 0.5"
    return [_warning(policy, "$.threshold_min_conf", reason)]


def _rules_that_cannot_fire(policy: RulesPolicy) -> list[Problem]:
    """Find rules whose every label an earlier rule takes at the same or a lower min_conf: ties go to the earlier."""
    warnings: list[Problem] = []
    taken: dict[str, float] = {}
    for index, rule in enumerate(policy.rules):
        if all(taken.get(condition.label, 2.0) <= condition.min_conf for condition in rule.when_any):
            reason = "cannot fire: earlier rules take its labels at the same or lower min_conf"
            warnings.append(_warning(policy, f"$.rules[{index}]", reason))
        for condition in rule.when_any:
            taken[condition.label] = min(condition.min_conf, taken.get(condition.label, 2.0))
    return warnings


def _weights_without_rule(policy: RulesPolicy) -> list[Problem]:
    used = _lowest_min_conf(policy)
    return [
        _warning(policy, f"$.weights.{label}", "cannot matter: no rule names this label")
        for label in policy.weights
        if label not in used
    ]


def _lowest_min_conf(policy: RulesPolicy) -> dict[str, float]:
    lowest: dict[str, float] = {}
    for rule in policy.rules:
        for condition in rule.when_any:
            lowest[condition.label] = min(condition.min_conf, lowest.get(condition.label, 1.0))
    return lowest


def _warning(policy: Policy, path: str, reason: str) -> Problem:
    return _problem(policy, path, reason, severity="warning")


def _problem(policy: Policy, path: str, reason: str, severity: Severity = "error") -> Problem:
    return Problem(file=policy.file, path=path, reason=reason, severity=severity)
