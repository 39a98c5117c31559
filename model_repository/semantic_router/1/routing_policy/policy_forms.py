"""What a policy's YAML may say, field by field; the editors' JSON schema is made from these types too."""

from typing import Annotated, Any

import msgspec

BINARY_CLASSIFIER = "reasoning_classifier"
RULES_CLASSIFIER = "topic_classifier"

END_OF_TEXT = r"$(?!\n)"  # in Python, `$` alone also matches before a last line break
# Names travel in HTTP headers, so: visible ASCII, no space at either end (RFC 9110 §5.5).
HeaderText = Annotated[str, msgspec.Meta(pattern="^[!-~]([ -~]*[!-~])?" + END_OF_TEXT, max_length=256)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Threshold = Annotated[Share, msgspec.Meta(description="Below this confidence the abstain model answers.")]
Cutoff = Annotated[float, msgspec.Meta(gt=0, lt=1, description="From this score of `reasoning` on it is reasoning.")]
Weight = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Label = Annotated[str, msgspec.Meta(min_length=1)]


class TargetForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A model under its own name, with parameters: `name` is reported, `model` forwarded, `params` merged in."""

    model: HeaderText
    name: HeaderText | None = None
    params: dict[str, Any] = {}


class ConditionForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Matches when the label's score is at least `min_conf`."""

    label: Label
    min_conf: Share


class RuleForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Routes to its model when any condition matches and none of another rule weighs more."""

    when_any: Annotated[list[ConditionForm], msgspec.Meta(min_length=1)]
    route_onprem_model: HeaderText | TargetForm
    rationale: HeaderText


class ExpectationForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must be decided; at least one of the three."""

    target: HeaderText | None = None
    rationale: HeaderText | None = None
    winner: Label | None = None

    def __post_init__(self) -> None:
        if self.target is self.rationale is self.winner is None:
            raise ValueError("expected a target, a rationale or a winner, got none")


class CaseForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One test of the policy: scores, or a text for the live classifier to score, and what must be decided."""

    expect: ExpectationForm
    name: str | None = None
    scores: Annotated[dict[Label, Share], msgspec.Meta(min_length=1)] | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if (self.scores is None) == (self.text is None):
            raise ValueError("expected either scores or a text")


Classifier = Annotated[HeaderText, msgspec.Meta(description="The Triton model that scores texts, or `keyword`.")]
Tests = Annotated[
    list[CaseForm], msgspec.Meta(description="Checked by `semrouter policy test`; serving takes no notice of them.")
]


class BinaryForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Reasoning or general; the abstain model below `threshold_min_conf`."""

    reasoning_model: HeaderText | TargetForm
    general_model: HeaderText | TargetForm
    abstain_onprem_model: HeaderText | TargetForm
    threshold_min_conf: Threshold
    reasoning_cutoff: Cutoff = 0.5
    classifier: Classifier = BINARY_CLASSIFIER
    tests: Tests = []


class RulesForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Ordered rules over any labels; the abstain model below `threshold_min_conf` or when no rule matches."""

    abstain_onprem_model: HeaderText | TargetForm
    threshold_min_conf: Threshold
    rules: Annotated[list[RuleForm], msgspec.Meta(min_length=1)]
    weights: Annotated[
        dict[Label, Weight],
        msgspec.Meta(description="Of several matches the largest weight x score wins; 1 where a label has none."),
    ] = {}
    classifier: Classifier = RULES_CLASSIFIER
    tests: Tests = []


class CasesForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A file of tests by themselves."""

    tests: list[CaseForm]
