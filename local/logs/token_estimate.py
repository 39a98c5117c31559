"""What requests would have cost elsewhere: their prompts stay as long, their answers become as long as usual there."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from router_proxy.record.decision_line import DecisionLine


class TokenEstimate(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    prompt_before: int
    prompt_after: int
    completion_before: int
    completion_after: int


class Flow(msgspec.Struct, kw_only=True):
    """Requests that are counted together; the tokens are those of the ones `with_usage`."""

    requests: int = 0
    with_usage: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, line: DecisionLine) -> None:
        self.requests += 1
        if tokens := line.usage:
            self.with_usage += 1
            self.prompt_tokens += tokens.prompt_tokens
            self.completion_tokens += tokens.completion_tokens


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens the log has, and the two targets that are compared."""

    logged: str
    before: str
    after: str


Flows = Mapping[Route, Flow]


def estimate_tokens(flows: Flows) -> tuple[int, tuple[TokenEstimate, ...]]:
    """Return how many requests could be estimated, and the tokens of each target before and after."""
    means = _mean_completions(flows)
    estimable = {
        route: flow for route, flow in flows.items() if flow.with_usage and {route.before, route.after} <= means.keys()
    }
    targets = sorted({target for route in estimable for target in (route.before, route.after)})
    estimates = tuple(_token_estimate(target, estimable, means) for target in targets)
    return sum(flow.with_usage for flow in estimable.values()), estimates


def _mean_completions(flows: Flows) -> dict[str, float]:
    written: Counter[str] = Counter()
    requests: Counter[str] = Counter()
    for route, flow in flows.items():
        written[route.logged] += flow.completion_tokens
        requests[route.logged] += flow.with_usage
    return {target: written[target] / requests[target] for target in requests if requests[target]}


def _token_estimate(target: str, flows: Flows, means: Mapping[str, float]) -> TokenEstimate:
    before = [(route, flow) for route, flow in flows.items() if route.before == target]
    after = [(route, flow) for route, flow in flows.items() if route.after == target]
    return TokenEstimate(
        target=target,
        prompt_before=sum(flow.prompt_tokens for _, flow in before),
        prompt_after=sum(flow.prompt_tokens for _, flow in after),
        completion_before=round(sum(_completion(route, flow, target, means) for route, flow in before)),
        completion_after=round(sum(_completion(route, flow, target, means) for route, flow in after)),
    )


def _completion(route: Route, flow: Flow, target: str, means: Mapping[str, float]) -> float:
    return flow.completion_tokens if route.logged == target else flow.with_usage * means[target]
