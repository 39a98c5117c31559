"""What a routing policy is once loaded: the guide's two forms as frozen values, and the checks on their meaning."""

from typing import Any

import msgspec

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
    return {label for _, label in named_labels(policy)}


def named_labels(policy: RulesPolicy) -> list[tuple[str, str]]:
    conditions = [
        (f"$.rules[{r}].when_any[{c}].label", condition.label)
        for r, rule in enumerate(policy.rules)
        for c, condition in enumerate(rule.when_any)
    ]
    return conditions + [(f"$.weights.{label}", label) for label in policy.weights]
