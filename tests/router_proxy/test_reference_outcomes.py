"""The table of outcomes, row by row: bring it about, and compare header, count, and where the request went."""

from collections.abc import Awaitable, Callable

import grpc
import msgspec
import pytest

from router_proxy.outcomes import Outcome
from tests.stand_ins.triton import StandInTriton

from .conftest import EASY, GENERAL, HARD, REASONING, Answer, Proxy, StartProxy
from .reference_tables import rows

ROWS = rows("Outcomes")
CHAT = "/v1/chat/completions"


@pytest.fixture
async def proxy(start_proxy: StartProxy, stand_in_url: str) -> Proxy:
    return await start_proxy(
        stand_in_url, {"upstreams": {REASONING: {"max_in_flight": 1}}}, SEMROUTER_ROUTING_BUDGET_MS="500"
    )


async def routed(proxy: Proxy, _: StandInTriton) -> Answer:
    return await proxy.chat(HARD)


async def abstained(proxy: Proxy, triton: StandInTriton) -> Answer:
    unsure = {"target": GENERAL, "model": GENERAL, "rationale": "abstain_low_confidence", "confidence": 0.55}
    triton.answer = msgspec.json.encode(msgspec.structs.replace(triton.decision(HARD), **unsure))
    return await proxy.chat(HARD)


async def explicit(proxy: Proxy, _: StandInTriton) -> Answer:
    return await proxy.chat(EASY, model=REASONING)


async def off(proxy: Proxy, _: StandInTriton) -> Answer:
    return await proxy.chat(EASY, model=REASONING, mode="off")


async def shadow(proxy: Proxy, _: StandInTriton) -> Answer:
    return await proxy.chat(EASY, model=REASONING, mode="shadow")


async def control(proxy: Proxy, _: StandInTriton) -> Answer:
    proxy.gateway.upstreams.share = 0
    return await proxy.chat(HARD)


async def no_text(proxy: Proxy, _: StandInTriton) -> Answer:
    return await proxy.chat(" ")


async def failopen_timeout(proxy: Proxy, triton: StandInTriton) -> Answer:
    triton.released.clear()
    return await proxy.chat(HARD)


async def failopen_error(proxy: Proxy, triton: StandInTriton) -> Answer:
    triton.answer = b"no decision"
    return await proxy.chat(HARD)


async def failopen_overload(proxy: Proxy, triton: StandInTriton) -> Answer:
    triton.error = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    return await proxy.chat(HARD)


async def capped(proxy: Proxy, _: StandInTriton) -> Answer:
    proxy.reasoning.held.clear()
    async with proxy.client.post(CHAT, json={"model": REASONING, "stream": True}):
        answer = await proxy.chat(HARD)
        proxy.reasoning.held.set()
    return answer


async def rejected(proxy: Proxy, triton: StandInTriton) -> Answer:
    proxy.gateway.upstreams.rejects_on_classifier_error = True
    return await failopen_error(proxy, triton)


async def invalid(proxy: Proxy, _: StandInTriton) -> Answer:
    return await proxy.post(CHAT, b"prove it", mode="auto")


BRING_ABOUT: list[Callable[[Proxy, StandInTriton], Awaitable[Answer]]] = [
    *(routed, abstained, explicit, off, shadow, control, no_text),
    *(failopen_timeout, failopen_error, failopen_overload, capped, rejected, invalid),
]
GOES_TO = {
    "the decided target": REASONING,
    "the abstain target": GENERAL,
    "the model named": REASONING,
    "nobody": None,
}


def test_the_table_lists_every_outcome_and_each_is_brought_about() -> None:
    assert list(ROWS) == [f"`{outcome}`" for outcome in Outcome] == [f"`{each.__name__}`" for each in BRING_ABOUT]


@pytest.mark.parametrize("bring_about", BRING_ABOUT)
async def test_an_outcome_is_told_and_counted_and_leads_where_the_table_says(
    proxy: Proxy, stand_in: StandInTriton, bring_about: Callable[[Proxy, StandInTriton], Awaitable[Answer]]
) -> None:
    outcome = bring_about.__name__
    _, goes_to = ROWS[f"`{outcome}`"]

    answer = await bring_about(proxy, stand_in)

    assert answer.outcome == outcome
    assert await proxy.metric("semrouter_requests_total", outcome=outcome) == 1
    assert answer.headers.get("x-semrouter-upstream") == GOES_TO[goes_to]
    assert (answer.status == 200) == (goes_to != "nobody")
