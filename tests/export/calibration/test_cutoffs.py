import msgspec
import pytest

from export.calibration.cutoffs import Goal, Judged, choose_cutoff, cutoff_paths, outcome_of, with_cutoff
from export.calibration.policy_edit import unified_diff, with_values
from export.errors import GoalUnreachable
from export.outcomes.scoring import default_target
from routing_policy.policy import Policy
from routing_policy.policy_file import parse_policy
from tests.conftest import CHECKOUT

BINARY = """\
reasoning_model: big  # expensive
general_model: small
abstain_onprem_model: small
threshold_min_conf: 0.5
"""
RULES = """\
abstain_onprem_model: small
threshold_min_conf: 0.3
rules:
  - when_any:
      - { label: "math", min_conf: 0.55 }  # sums
      - { label: "reasoning", min_conf: 0.60 }
    route_onprem_model: big
    rationale: hard
  - when_any: [{ label: general, min_conf: 0.4 }]
    route_onprem_model: small
    rationale: easy
"""


def policy(text: str) -> Policy:
    return parse_policy(text.encode(), "policy.yaml")


def without_revision(policy: Policy) -> Policy:
    return msgspec.structs.replace(policy, revision="")


def scored(reasoning: float, label: str | None = None) -> Judged:
    return Judged(scores={"reasoning": reasoning, "non-reasoning": 1 - reasoning}, label=label)


TRAFFIC = [scored(number / 100) for number in range(100)]


def test_the_lowest_cutoff_within_the_share_is_chosen() -> None:
    outcome = choose_cutoff(policy(BINARY), TRAFFIC, Goal(target="big", kind="max_share", bound=0.3))

    assert outcome.cutoff == 0.7
    assert outcome.share.value == 0.3
    assert outcome.share.low < 0.3 < outcome.share.high
    assert outcome.precision is None


def test_what_abstains_does_not_count_as_sent() -> None:
    cautious = policy(BINARY.replace("threshold_min_conf: 0.5", "threshold_min_conf: 0.75"))

    outcome = choose_cutoff(cautious, TRAFFIC, Goal(target="big", kind="max_share", bound=0.3))

    assert outcome.cutoff < 0.7
    assert outcome.share.value <= 0.3


def test_precision_is_met_by_the_lowest_cutoff_that_has_it() -> None:
    labelled = [
        *(scored(0.9, "reasoning") for _ in range(19)),
        scored(0.9, "non-reasoning"),
        *(scored(0.6, "non-reasoning") for _ in range(5)),
    ]

    outcome = choose_cutoff(policy(BINARY), labelled, Goal(target="big", kind="min_precision", bound=0.95))

    assert outcome.cutoff == 0.61
    assert outcome.precision is not None
    assert outcome.precision.value == 0.95
    assert outcome.precision.low < 0.95


def test_a_goal_nobody_can_meet_says_so() -> None:
    labelled = [scored(0.9, "non-reasoning")]

    with pytest.raises(GoalUnreachable, match=r"no cutoff between 0.01 and 0.99 reaches min_precision 0.9"):
        choose_cutoff(policy(BINARY), labelled, Goal(target="big", kind="min_precision", bound=0.9))


def test_every_condition_that_leads_to_the_target_gets_the_cutoff() -> None:
    rules = policy(RULES)
    judged = [Judged(scores={"math": 0.7, "reasoning": 0.2, "general": 0.1}, label="math")]

    outcome = outcome_of(with_cutoff(rules, "big", 0.65), judged, "big", 0.65)

    assert outcome.share.value == 1.0
    assert outcome.precision is not None
    assert outcome.precision.value == 1.0
    assert outcome_of(with_cutoff(rules, "big", 0.75), judged, "big", 0.75).share.value == 0.0


def test_the_change_touches_nothing_but_the_numbers() -> None:
    rules = policy(RULES)

    changed = with_values(RULES, cutoff_paths(rules, "big"), 0.71)

    assert changed == RULES.replace("0.55", "0.71").replace("0.60", "0.71")
    assert without_revision(policy(changed)) == without_revision(with_cutoff(rules, "big", 0.71))


def test_a_cutoff_the_policy_does_not_state_is_added_beside_the_threshold() -> None:
    changed = with_values(BINARY, [("reasoning_cutoff",)], 0.62)

    assert changed == BINARY + "reasoning_cutoff: 0.62\n"
    assert with_values(changed, [("reasoning_cutoff",)], 0.7) == BINARY + "reasoning_cutoff: 0.7\n"


@pytest.mark.parametrize("name", ["semantic-router-binary.yaml", "semantic-router.yaml"])
def test_the_shipped_policies_take_the_change(name: str) -> None:
    text = (CHECKOUT / "configs" / name).read_text()
    before = policy(text)
    target = default_target(before)

    after = policy(with_values(text, cutoff_paths(before, target), 0.77))

    assert without_revision(after) == without_revision(with_cutoff(before, target, 0.77))


def test_the_difference_is_a_patch() -> None:
    assert unified_diff("a: 1\nb: 2\n", "a: 1\nb: 3\n", "policy.yaml") == (
        "--- policy.yaml\n+++ policy.yaml\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n"
    )
