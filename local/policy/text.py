"""An explanation as lines for a person at a terminal."""

from collections.abc import Iterator

from routing_policy.explanation import ClauseTrace, Explanation, RuleTrace, number
from routing_policy.flips import Flip

_MARKS = {True: "+", False: "-"}
_OTHERS = {
    "scaled": "if one score moved, the others keeping their proportions and the sum",
    "unchanged": "if one score moved, the others staying as they are",
}


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    decision = explanation.decision
    confidence = number(decision.confidence)
    yield f"{decision.target} ({decision.rationale}, winner {decision.winner}, confidence {confidence})"
    yield f"  {explanation.summary}"
    yield ""
    for check in explanation.checks:
        compared = f"{check.measures} {number(check.value)} against {number(check.bound)}"
        yield f"{_MARKS[check.met]} {check.path}: {compared}, gap {_signed(check.gap)}"
    for index, rule in enumerate(explanation.rules):
        yield from _rule_lines(index, rule)
    yield ""
    yield from _flip_lines(explanation)


def _rule_lines(index: int, rule: RuleTrace) -> Iterator[str]:
    yield f"{'>' if rule.fired else ' '} $.rules[{index}] {rule.rationale}: {rule.target}"
    for clause in rule.clauses:
        yield f"    {_MARKS[clause.matched]} {_clause_text(clause)}{'  <- fired' if clause.fired else ''}"


def _clause_text(clause: ClauseTrace) -> str:
    compared = f"{clause.label} {number(clause.score)} against {number(clause.min_conf)}, gap {_signed(clause.gap)}"
    return f"{compared}, x weight {number(clause.weight)} = {number(clause.product)}"


def _flip_lines(explanation: Explanation) -> Iterator[str]:
    if not explanation.flips:
        yield "No change of one score or one setting would decide for another target."
        return
    for kind, title in (("score", _OTHERS[explanation.other_scores]), ("setting", "if one setting were changed")):
        flips = [flip for flip in explanation.flips if flip.kind == kind]
        if flips:
            yield f"It would go elsewhere {title}:"
            yield from (f"    {_flip_text(flip)}" for flip in flips)


def _flip_text(flip: Flip) -> str:
    moved = f"{flip.name} from {number(flip.current)} to {_exactly(flip.to)} ({_signed(flip.change)})"
    return f"{moved}: {flip.target} ({flip.rationale})"


def _exactly(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _signed(value: float) -> str:
    return f"{value:+.4f}".rstrip("0").rstrip(".")
