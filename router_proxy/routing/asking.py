"""From a text to where it goes: Triton's decision, or the abstain target and the reason there is no decision."""

from router_proxy.errors import ClassifierFailed, ClassifierUnavailable
from router_proxy.outcomes import Outcome, Verdict
from router_proxy.upstreams.upstreams import Upstreams
from routing_policy.decision import ABSTAIN_RATIONALES
from routing_policy.policy import Policy, Target

from .router_client import Answered, AskCounter, RouterClient


async def decide(
    text: bytes | None,
    router: RouterClient,
    policy: Policy,
    upstreams: Upstreams,
    *,
    budget_seconds: float,
    counter: AskCounter,
) -> Verdict:
    """Ask Triton about `text`, given as `text_to_send` has it.

    Without an answer fall back to the abstain target, or refuse if so configured.
    """
    if text is None:
        return Verdict(outcome=Outcome.NO_TEXT, target=policy.abstain)
    try:
        return _verdict(await router.ask(text, budget_seconds, counter), upstreams)
    except ClassifierFailed as failure:
        if upstreams.rejects_on_classifier_error:
            raise ClassifierUnavailable(
                "No routing decision could be taken. Try again, or name a model.", retry_after_seconds=1
            ) from failure
        return Verdict(outcome=failure.outcome, target=policy.abstain)


def _verdict(answered: Answered, upstreams: Upstreams) -> Verdict:
    decision = answered.decision
    if decision.model not in upstreams:
        raise ClassifierFailed(Outcome.FAILOPEN_ERROR, f"decided for {decision.model!r}, which has no upstream")
    return Verdict(
        outcome=Outcome.ABSTAINED if decision.rationale in ABSTAIN_RATIONALES else Outcome.ROUTED,
        target=Target(name=decision.target, model=decision.model, params=decision.params),
        decision=decision,
        cached=answered.cached,
    )
