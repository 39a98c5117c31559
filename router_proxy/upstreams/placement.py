"""Where a request may go, in order: the target decided on, its fallbacks, and others when the target cannot take it."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from router_proxy.request.body import with_model, with_params
from router_proxy.request.needs import Needs, shortfall
from router_proxy.request.scanning import LARGE_BYTES
from routing_policy.policy import Policy, Target, policy_targets

from .upstreams import Endpoint, Upstream, Upstreams


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream that may answer; without a target the request goes there as its caller wrote it.

    With `endpoint` only that one will do.
    """

    upstream: Upstream
    target: Target | None = None
    endpoint: Endpoint | None = None

    def ranked_endpoints(self, conversation: bytes | None) -> Sequence[Endpoint]:
        return [self.endpoint] if self.endpoint else self.upstream.ranked_endpoints(conversation)

    @property
    def keeps_conversations(self) -> bool:
        return self.endpoint is None and self.upstream.keeps_conversations

    @property
    def name(self) -> str:
        return self.target.name if self.target else self.upstream.name


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """What a request needs and the targets it may move to. Looked through only when an upstream finds it too long."""

    needs: Needs
    policy: Policy
    upstreams: Upstreams

    def with_most_room(self) -> "Choice | None":
        whatever_length = msgspec.structs.replace(self.needs, tokens=0)
        targets = _able(whatever_length, self.upstreams, policy_targets(self.policy).values())
        return max((_choice(self.upstreams, target) for target in targets), key=_room, default=None)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The choices in the order to try them. `lacking` says what kept the decided target from being the first;
    `is_capped`, that the target had no room for one more.

    `candidates` is None where the caller placed the request, or it has moved already.
    """

    raw: bytes
    choices: Sequence[Choice]
    merges_params: bool = False
    lacking: str | None = None
    is_capped: bool = False
    candidates: Candidates | None = None

    async def body_for(self, choice: Choice) -> bytes:
        if choice.target is None:
            return self.raw
        if len(self.raw) <= LARGE_BYTES:
            return self._rewritten(choice.target)
        return await asyncio.to_thread(self._rewritten, choice.target)

    def _rewritten(self, target: Target) -> bytes:
        merged = with_params(self.raw, target.params) if self.merges_params else self.raw
        return with_model(merged, target.model)

    def roomier_than(self, refused: Choice) -> Choice | None:
        """Return the choice with the most context, if it has more than the one that found the request too long."""
        roomiest = self.candidates.with_most_room() if self.candidates else None
        return roomiest if roomiest and _room(roomiest) > _room(refused) else None

    def only(self, choice: Choice) -> "Plan":
        return msgspec.structs.replace(self, choices=[choice], candidates=None)


def as_asked(raw: bytes, upstream: Upstream) -> Plan:
    """Return the plan of a request that its caller placed: there, or nowhere."""
    return Plan(raw=raw, choices=[Choice(upstream=upstream)])


def as_named(raw: bytes, upstream: Upstream, upstreams: Upstreams, *, needs: Needs) -> Plan:
    """Return the plan of a request that names a model for which others may answer: that one, then its fallbacks."""
    able = _able(needs, upstreams, _fallbacks(upstreams, upstream.name))
    return Plan(raw=raw, choices=[Choice(upstream=upstream), *(_choice(upstreams, target) for target in able)])


def continued(raw: bytes, upstream: Upstream, endpoint: Endpoint) -> Plan:
    """Return the plan of a request that goes on from what only `endpoint` knows."""
    return Plan(raw=raw, choices=[Choice(upstream=upstream, target=_plain(upstream.name), endpoint=endpoint)])


def place(
    raw: bytes, target: Target, *, needs: Needs, policy: Policy, upstreams: Upstreams, merges_params: bool
) -> Plan:
    """Return the plan of a request that the router placed.

    If no upstream is eligible, it goes to the target anyway, and that server refuses it.
    """
    lacking = _lacking(needs, upstreams, target)
    eligible = _able(needs, upstreams, _fallbacks(upstreams, target.model))
    if lacking is None:
        eligible = [target, *eligible]
    else:
        eligible += _able(needs, upstreams, policy_targets(policy).values())
    targets = eligible or [target]
    relief = _relief(needs, upstreams, targets[0], policy.abstain)
    return Plan(
        raw=raw,
        choices=[_choice(upstreams, each) for each in _one_each(relief or targets)],
        merges_params=merges_params,
        lacking=lacking if eligible else None,
        is_capped=bool(relief),
        candidates=Candidates(needs=needs, policy=policy, upstreams=upstreams),
    )


def _relief(needs: Needs, upstreams: Upstreams, first: Target, abstain: Target) -> list[Target]:
    """Return where a request goes instead when its first target is full: the abstain target, if that can take it."""
    if not upstreams.serving(first.model).is_full or first.model == abstain.model:
        return []
    relief = _able(needs, upstreams, [abstain])
    return [*relief, *_able(needs, upstreams, _fallbacks(upstreams, abstain.model))] if relief else []


def _fallbacks(upstreams: Upstreams, model: str) -> list[Target]:
    return [_plain(name) for name in upstreams.serving(model).fallbacks]


def _one_each(targets: Iterable[Target]) -> Iterable[Target]:
    """Return the first target of each upstream: one that failed is not asked the same again."""
    first: dict[str, Target] = {}
    for target in targets:
        first.setdefault(target.model, target)
    return first.values()


def _able(needs: Needs, upstreams: Upstreams, targets: Iterable[Target]) -> list[Target]:
    return [target for target in targets if _lacking(needs, upstreams, target) is None]


def _lacking(needs: Needs, upstreams: Upstreams, target: Target) -> str | None:
    return shortfall(needs, upstreams.serving(target.model).abilities)


def _room(choice: Choice) -> int:
    return choice.upstream.abilities.max_tokens or 0


def _choice(upstreams: Upstreams, target: Target) -> Choice:
    return Choice(upstream=upstreams.serving(target.model), target=target)


def _plain(model: str) -> Target:
    return Target(name=model, model=model, params={})
