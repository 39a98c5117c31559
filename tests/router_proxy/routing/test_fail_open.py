"""A Triton that is slow, wrong, overloaded or gone: every request is still answered, by the abstain target."""

import asyncio

import grpc
import msgspec
import pytest

from routing_policy.clipping import END_BYTES
from tests.router_proxy.conftest import EASY, GENERAL, HARD, Proxy, StartProxy
from tests.stand_ins.triton import StandInTriton


async def test_a_triton_that_is_gone(start_proxy: StartProxy, gone_url: str) -> None:
    proxy = await start_proxy(gone_url.removeprefix("http://"))

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.body["model"], answer.outcome) == (200, GENERAL, "failopen_error")
    assert "x-semrouter-target" not in answer.headers
    assert await proxy.metric("semantic_route_decisions_total") == 0
    assert await proxy.metric("semantic_classifier_latency_ms_count") == 1


async def test_a_triton_slower_than_the_budget(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_ROUTING_BUDGET_MS="50")
    stand_in.released.clear()

    answer = await proxy.chat(HARD)

    assert (answer.body["model"], answer.outcome) == (GENERAL, "failopen_timeout")


async def test_a_header_overrides_the_budget(proxy: Proxy, stand_in: StandInTriton) -> None:
    stand_in.released.clear()

    answer = await proxy.post("/v1/chat/completions", _body(HARD), mode="auto", X_Semrouter_Budget_Ms="20")

    assert (answer.body["model"], answer.outcome) == (GENERAL, "failopen_timeout")


@pytest.mark.parametrize("budget", ["0", "2001", "soon", "1.5", "-1", "²"])
async def test_a_budget_out_of_range_is_refused(proxy: Proxy, budget: str) -> None:
    answer = await proxy.post("/v1/chat/completions", _body(HARD), mode="auto", X_Semrouter_Budget_Ms=budget)

    assert (answer.status, answer.body["error"]["code"], answer.outcome) == (400, "invalid_budget", "invalid")


async def test_a_call_that_outlives_its_budget_is_never_cancelled(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_ROUTING_BUDGET_MS="20")
    stand_in.released.clear()
    await proxy.chat(HARD)

    stand_in.released.set()
    await proxy.client.close()

    assert (len(stand_in.texts), stand_in.calls_not_cancelled) == (1, 1)


@pytest.mark.parametrize(
    ("status", "message", "outcome"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", "failopen_overload"),
        (grpc.StatusCode.INTERNAL, "in ensemble: Exceeds maximum queue size", "failopen_overload"),
        (grpc.StatusCode.UNAVAILABLE, "Request timeout expired", "failopen_timeout"),
        (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'semantic_router' is not found", "failopen_error"),
        (grpc.StatusCode.INTERNAL, "Stub process is not healthy", "failopen_error"),
    ],
)
async def test_an_error_from_triton(
    proxy: Proxy, stand_in: StandInTriton, status: grpc.StatusCode, message: str, outcome: str
) -> None:
    stand_in.error = (status, message)

    answer = await proxy.chat(HARD)

    assert (answer.body["model"], answer.outcome) == (GENERAL, outcome)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"reasoning", id="not JSON"),
        pytest.param(b"{}", id="no decision"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
    ],
)
async def test_an_answer_that_is_no_decision(proxy: Proxy, stand_in: StandInTriton, document: bytes) -> None:
    stand_in.answer = document

    answer = await proxy.chat(HARD)

    assert (answer.body["model"], answer.outcome) == (GENERAL, "failopen_error")


async def test_a_decision_for_a_model_without_upstream(proxy: Proxy, stand_in: StandInTriton) -> None:
    decision = msgspec.structs.replace(stand_in.decision(HARD), target="new", model="new")
    stand_in.answer = msgspec.json.encode(decision)

    answer = await proxy.chat(HARD)

    assert (answer.body["model"], answer.outcome) == (GENERAL, "failopen_error")


async def test_a_decision_with_fields_of_a_later_version_is_understood(proxy: Proxy, stand_in: StandInTriton) -> None:
    document = msgspec.to_builtins(stand_in.decision(EASY)) | {"band": "near"}
    stand_in.answer = msgspec.json.encode(document)

    assert (await proxy.chat(HARD)).outcome == "routed"


async def test_after_failures_in_a_row_triton_is_left_alone(proxy: Proxy, stand_in: StandInTriton) -> None:
    stand_in.error = (grpc.StatusCode.INTERNAL, "broken")

    outcomes = [(await proxy.chat(HARD)).outcome for _ in range(8)]

    assert outcomes == ["failopen_error"] * 8
    assert len(stand_in.texts) == 5
    assert await proxy.metric("semrouter_router_failing") == 1


async def test_a_clients_own_short_budget_is_no_failure_of_triton(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_BREAKER_FAILURES="1")
    stand_in.released.clear()
    hasty = [
        await proxy.post("/v1/chat/completions", _body(f"{HARD} {number}"), mode="auto", X_Semrouter_Budget_Ms="1")
        for number in range(5)
    ]
    stand_in.released.set()

    patient = await proxy.chat(HARD)

    assert [answer.outcome for answer in hasty] == ["failopen_timeout"] * 5
    assert patient.outcome == "routed"
    assert await proxy.metric("semrouter_router_failing") == 0


async def test_a_triton_that_answers_others_meanwhile_is_busy_and_not_failing(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_BREAKER_FAILURES="1", SEMROUTER_ROUTING_BUDGET_MS="300")
    stand_in.released.clear()
    late = asyncio.create_task(proxy.chat(HARD))
    await stand_in.asked.wait()
    held, stand_in.released = stand_in.released, asyncio.Event()
    stand_in.released.set()

    outcomes = [(await proxy.chat(EASY)).outcome, (await late).outcome, (await proxy.chat("Hello")).outcome]
    held.set()

    assert outcomes == ["routed", "failopen_timeout", "routed"]


async def test_a_triton_that_answers_again_is_used_again(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_BREAKER_FAILURES="1", SEMROUTER_BREAKER_PAUSE_SECONDS="0.001")
    stand_in.error = (grpc.StatusCode.INTERNAL, "broken")
    await proxy.chat(HARD)
    stand_in.error = None

    outcomes = [(await proxy.chat(HARD)).outcome for _ in range(2)]

    assert outcomes[-1] == "routed"
    assert await proxy.metric("semrouter_router_failing") == 0


async def test_calls_in_flight_are_bounded(start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_ROUTING_IN_FLIGHT="1", SEMROUTER_ROUTING_BUDGET_MS="20")
    stand_in.released.clear()
    await proxy.chat(HARD)

    answer = await proxy.chat(EASY)

    assert (answer.body["model"], answer.outcome) == (GENERAL, "failopen_overload")


async def test_reject_answers_503_instead(start_proxy: StartProxy, gone_url: str) -> None:
    proxy = await start_proxy(gone_url.removeprefix("http://"), {"on_classifier_error": "reject"})

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.body["error"]["code"], answer.outcome) == (503, "classifier_unavailable", "rejected")
    assert answer.headers["retry-after"] == "1"


async def test_a_long_text_is_sent_as_its_two_ends(proxy: Proxy, stand_in: StandInTriton) -> None:
    await proxy.chat("é" * 5_000_000 + " prove it")

    sent = stand_in.texts[0]
    assert 2 * END_BYTES < len(sent.encode()) <= 2 * END_BYTES + 8
    assert sent.startswith("éé")
    assert sent.endswith("é prove it")


def _body(text: str) -> dict[str, object]:
    return {"model": "router", "messages": [{"role": "user", "content": text}]}
