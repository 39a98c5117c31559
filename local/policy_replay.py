"""What a policy would have made of the traffic in a decision log: from logged scores alone, without a classifier."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

import msgspec

from routing_policy.decision import decide
from routing_policy.policy import NON_REASONING, REASONING, BinaryPolicy, Policy, RulesPolicy, policy_labels

from .decision_log import LogLine, read_lines

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


class TokenEstimate(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    prompt_before: int
    prompt_after: int
    completion_before: int
    completion_after: int


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Shares are of the replayed lines. Tokens are those of the `estimated` lines, whose usage the log has.

    A request that moves keeps its prompt tokens; its completion tokens become the mean of what its new target wrote in
    this log. Where the log has nothing written by that target, the line is not estimated.
    """

    lines: int
    replayed: int
    without_scores: int
    other_labels: int
    malformed: tuple[int, ...]  # line numbers
    moved: int
    moved_share: float
    targets: tuple[TargetShare, ...]
    moves: tuple[Move, ...]
    estimated: int
    tokens: tuple[TokenEstimate, ...]


class _Flow(msgspec.Struct, kw_only=True):
    """Requests that share where they went, where one policy sends them and where the other does."""

    requests: int = 0
    with_usage: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, line: LogLine) -> None:
        self.requests += 1
        if tokens := line.tokens:
            self.with_usage += 1
            self.prompt_tokens += tokens.prompt_tokens
            self.completion_tokens += tokens.completion_tokens


class _Route(msgspec.Struct, frozen=True, kw_only=True):
    logged: str
    before: str
    after: str


_Flows = Mapping[_Route, _Flow]


def replay(log: Iterable[bytes], policy: Policy) -> Replay:
    """Compare where the log's requests went with where `policy` sends them."""
    return _replayed(log, [policy], lambda line, _: line.target or NO_TARGET, lambda _, scores: _target(policy, scores))


def compare(log: Iterable[bytes], old: Policy, new: Policy) -> Replay:
    """Compare where two policies send the log's requests."""
    return _replayed(log, [old, new], lambda _, scores: _target(old, scores), lambda _, scores: _target(new, scores))


_Destination = Callable[[LogLine, Mapping[str, float]], str]


def _replayed(log: Iterable[bytes], policies: list[Policy], before: _Destination, after: _Destination) -> Replay:
    flows: defaultdict[_Route, _Flow] = defaultdict(_Flow)
    skipped: Counter[str] = Counter()
    malformed: list[int] = []
    for number, line in read_lines(log):
        if line is None:
            malformed.append(number)
        elif line.scores is None:
            skipped["without scores"] += 1
        elif not all(_has_labels(policy, line.scores) for policy in policies):
            skipped["other labels"] += 1
        else:
            route = _Route(
                logged=line.target or NO_TARGET, before=before(line, line.scores), after=after(line, line.scores)
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


def _report(flows: _Flows, skipped: Counter[str], malformed: list[int]) -> Replay:
    replayed = sum(flow.requests for flow in flows.values())
    moves = _moves(flows, replayed)
    moved = sum(move.requests for move in moves)
    estimable, tokens = _tokens(flows)
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


def _targets(flows: _Flows, replayed: int) -> tuple[TargetShare, ...]:
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


def _moves(flows: _Flows, replayed: int) -> tuple[Move, ...]:
    counted: Counter[tuple[str, str]] = Counter()
    for route, flow in flows.items():
        if route.before != route.after:
            counted[route.before, route.after] += flow.requests
    return tuple(
        Move(source=source, destination=destination, requests=requests, share=_share(requests, replayed))
        for (source, destination), requests in counted.most_common()
    )


def _tokens(flows: _Flows) -> tuple[int, tuple[TokenEstimate, ...]]:
    """Return how many requests could be estimated, and the tokens of each target before and after."""
    means = _mean_completions(flows)
    estimable = {
        route: flow for route, flow in flows.items() if flow.with_usage and {route.before, route.after} <= means.keys()
    }
    targets = sorted({target for route in estimable for target in (route.before, route.after)})
    estimates = tuple(_token_estimate(target, estimable, means) for target in targets)
    return sum(flow.with_usage for flow in estimable.values()), estimates


def _mean_completions(flows: _Flows) -> dict[str, float]:
    written: Counter[str] = Counter()
    requests: Counter[str] = Counter()
    for route, flow in flows.items():
        written[route.logged] += flow.completion_tokens
        requests[route.logged] += flow.with_usage
    return {target: written[target] / requests[target] for target in requests if requests[target]}


def _token_estimate(target: str, flows: _Flows, means: Mapping[str, float]) -> TokenEstimate:
    before = [(route, flow) for route, flow in flows.items() if route.before == target]
    after = [(route, flow) for route, flow in flows.items() if route.after == target]
    return TokenEstimate(
        target=target,
        prompt_before=sum(flow.prompt_tokens for _, flow in before),
        prompt_after=sum(flow.prompt_tokens for _, flow in after),
        completion_before=round(sum(_completion(route, flow, target, means) for route, flow in before)),
        completion_after=round(sum(_completion(route, flow, target, means) for route, flow in after)),
    )


def _completion(route: _Route, flow: _Flow, target: str, means: Mapping[str, float]) -> float:
    return flow.completion_tokens if route.logged == target else flow.with_usage * means[target]
