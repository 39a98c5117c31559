"""Decision documents as Triton would answer them, from scores that a test writes down."""

from collections.abc import Mapping
from typing import Any

import msgspec

from routing_policy.decision import ClassifierRef, DecisionDocument, decide
from routing_policy.policy import Policy


def decision_document(policy: Policy, scores: Mapping[str, float], **fields: Any) -> DecisionDocument:
    """Return the decision of `policy` on `scores`, read by the keyword classifier unless `fields` say otherwise."""
    decision = decide(policy, scores)
    document = DecisionDocument(
        target=decision.target.name,
        model=decision.target.model,
        params=decision.target.params,
        rationale=decision.rationale,
        winner=decision.winner,
        confidence=decision.confidence,
        scores=dict(scores),
        rule=decision.rule,
        policy=policy.revision,
        classifier=ClassifierRef(name="keyword", version=1, revision="keyword"),
        tokens_seen=None,
        tokens_total=None,
        truncated=False,
        policy_error=None,
        timings_us={"tokenize": 0, "classify": 0, "decide": 1},
    )
    return msgspec.structs.replace(document, **fields)
