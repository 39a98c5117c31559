"""What a policy would have made of the traffic in a decision log: from logged scores alone, without a classifier."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

import msgspec

from router_proxy.record.decision_line import DecisionLine
from router_proxy.record.log_parts import PlacedLine
from routing_policy.decision import decide
from routing_policy.policy import NON_REASONING, REASONING, BinaryPolicy, Policy, RulesPolicy, policy_labels

from .lines import read_lines
from .token_estimate import Flow, Flows, Route, TokenEstimate, estimate_tokens

NO_TARGET = "(none)"


class TargetShare(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    before: int
    after: int
    before_share: float
    after_share: float


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that one policy sends to `source` and the other to `destination`."""

    source: str
    destination: str
    requests: int
    share: float


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Shares are of the replayed lines. Tokens are those of the `estimated` lines, whose usage the log has.

    A request that moves keeps its prompt tokens; its completion tokens become the mean of what its new target wrote in
    this log. Where the log has nothing written by that target, the line is not estimated.
    """

    lines: int
    replayed: int
    without_scores: int
    other_labels: int
    malformed: tuple[str, ...]  # where they stand, as file:number
    moved: int
    moved_share: float
    targets: tuple[TargetShare, ...]
    moves: tuple[Move, ...]
    estimated: int
    tokens: tuple[TokenEstimate, ...]


def replay(log: Iterable[PlacedLine], policy: Policy) -> Replay:
    """Compare where the log's requests went with where `policy` sends them."""
    return _replayed(log, [policy], lambda line, _: line.target or NO_TARGET, lambda _, scores: _target(policy, scores))


def compare(log: Iterable[PlacedLine], old: Policy, new: Policy) -> Replay:
    """Compare where two policies send the log's requests."""
    return _replayed(log, [old, new], lambda _, scores: _target(old, scores), lambda _, scores: _target(new, scores))


_Destination = Callable[[DecisionLine, Mapping[str, float]], str]


def _replayed(log: Iterable[PlacedLine], policies: list[Policy], before: _Destination, after: _Destination) -> Replay:
    flows: defaultdict[Route, Flow] = defaultdict(Flow)
    skipped: Counter[str] = Counter()
    malformed: list[str] = []
    for place, line in read_lines(log):
        if line is None:
            malformed.append(place)
        elif line.scores is None:
            skipped["without scores"] += 1
        elif not all(_has_labels(policy, line.scores) for policy in policies):
            skipped["other labels"] += 1
        else:
            route = Route(
                logged=line.answerer or NO_TARGET, before=before(line, line.scores), after=after(line, line.scores)
            )
            flows[route].add(line)
    return _report(flows, skipped, malformed)


def _target(policy: Policy, scores: Mapping[str, float]) -> str:
    return decide(policy, scores).target.name


def _has_labels(policy: Policy, scores: Mapping[str, float]) -> bool:
    match policy:
        case BinaryPolicy():
            return scores.keys() == {REASONING, NON_REASONING}
        case RulesPolicy():
            return policy_labels(policy) <= scores.keys()


def _report(flows: Flows, skipped: Counter[str], malformed: list[str]) -> Replay:
    replayed = sum(flow.requests for flow in flows.values())
    moves = _moves(flows, replayed)
    moved = sum(move.requests for move in moves)
    estimable, tokens = estimate_tokens(flows)
    return Replay(
        lines=replayed + skipped.total() + len(malformed),
        replayed=replayed,
        without_scores=skipped["without scores"],
        other_labels=skipped["other labels"],
        malformed=tuple(malformed),
        moved=moved,
        moved_share=_share(moved, replayed),
        targets=_targets(flows, replayed),
        moves=moves,
        estimated=estimable,
        tokens=tokens,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _targets(flows: Flows, replayed: int) -> tuple[TargetShare, ...]:
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for route, flow in flows.items():
        before[route.before] += flow.requests
        after[route.after] += flow.requests
    return tuple(
        TargetShare(
            target=target,
            before=before[target],
            after=after[target],
            before_share=_share(before[target], replayed),
            after_share=_share(after[target], replayed),
        )
        for target in sorted(before.keys() | after.keys(), key=lambda target: (-after[target], target))
    )


def _moves(flows: Flows, replayed: int) -> tuple[Move, ...]:
    counted: Counter[tuple[str, str]] = Counter()
    for route, flow in flows.items():
        if route.before != route.after:
            counted[route.before, route.after] += flow.requests
    return tuple(
        Move(source=source, destination=destination, requests=requests, share=_share(requests, replayed))
        for (source, destination), requests in counted.most_common()
    )
