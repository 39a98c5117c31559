"""Shadow requests: answered as asked, judged afterwards, and never slowed down by it."""

import asyncio
import json
import logging
from typing import Any

import pytest

from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING, Proxy, StartProxy
from tests.stand_ins.triton import StandInTriton


async def test_an_answer_does_not_wait_for_the_decision(proxy: Proxy, stand_in: StandInTriton) -> None:
    stand_in.released.clear()

    answer = await proxy.chat(HARD, model=GENERAL, mode="shadow")

    assert (answer.status, answer.outcome) == (200, "shadow")


async def test_triton_is_asked_only_once_the_answer_is_out(proxy: Proxy, stand_in: StandInTriton) -> None:
    proxy.general.held.clear()
    body = {"model": GENERAL, "stream": True, "messages": [{"role": "user", "content": HARD}]}

    async with proxy.client.post("/v1/chat/completions", json=body, headers={"X-Dynamo-Routing": "shadow"}) as response:
        first = await response.content.readuntil(b"\n\n")
        asked_before = stand_in.texts.copy()
        proxy.general.held.set()
        rest = await response.read()
    await proxy.shadow_drained()

    assert b'"from "' in first
    assert rest.endswith(b"data: [DONE]\n\n")
    assert (asked_before, stand_in.texts) == ([], [HARD])


async def test_a_triton_that_hangs_holds_up_no_later_request(proxy: Proxy, stand_in: StandInTriton) -> None:
    stand_in.released.clear()

    answers = [await proxy.chat(f"{HARD} {n}", model=GENERAL, mode="shadow") for n in range(20)]

    assert [answer.outcome for answer in answers] == ["shadow"] * 20
    assert proxy.general.requests_begun == 20


@pytest.mark.parametrize(("text", "result"), [(HARD, "differ"), (EASY, "agree"), ("", "no_text")])
async def test_a_decision_is_compared_with_what_happened(proxy: Proxy, text: str, result: str) -> None:
    await proxy.chat(text, model=GENERAL, mode="shadow")
    await proxy.shadow_drained()

    assert await proxy.metric("semrouter_shadow_total", result=result) == 1


async def test_a_triton_that_fails_is_counted(proxy: Proxy, stand_in: StandInTriton) -> None:
    stand_in.answer = b"no decision"

    await proxy.chat(HARD, model=GENERAL, mode="shadow")
    await proxy.shadow_drained()

    assert await proxy.metric("semrouter_shadow_total", result="failed") == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_the_tokens_that_would_move_are_counted(proxy: Proxy, stream: bool) -> None:  # noqa: FBT001 - of the table
    body = {"model": GENERAL, "stream": stream, "messages": [{"role": "user", "content": HARD}]}
    async with proxy.client.post("/v1/chat/completions", json=body, headers={"X-Dynamo-Routing": "shadow"}) as response:
        await response.read()
    await proxy.shadow_drained()

    moved = {"target": REASONING, "served_by": GENERAL}
    assert await proxy.metric("semrouter_shadow_tokens_total", **moved, kind="prompt") == 7
    assert await proxy.metric("semrouter_shadow_tokens_total", **moved, kind="completion") == 5


async def test_an_answer_without_usage_is_counted_as_unknown(proxy: Proxy) -> None:
    proxy.general.usage = None

    await proxy.chat(HARD, model=GENERAL, mode="shadow")
    await proxy.shadow_drained()

    assert await proxy.metric("semrouter_shadow_usage_unknown_total") == 1


async def test_its_log_line_holds_the_decision_and_the_usage(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "semrouter.decisions")

    await proxy.chat(HARD, model=GENERAL, mode="shadow")
    await proxy.shadow_drained()

    lines: list[dict[str, Any]] = [json.loads(entry.message) for entry in caplog.records if "decisions" in entry.name]
    assert [(line["outcome"], line["target"], line["served_by"]) for line in lines] == [("shadow", REASONING, GENERAL)]
    assert lines[0]["scores"]["reasoning"] == 0.9
    assert lines[0]["usage"] == {"prompt_tokens": 7, "completion_tokens": 5}


async def test_it_may_take_longer_than_the_routing_budget(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_ROUTING_BUDGET_MS="1", SEMROUTER_BREAKER_FAILURES="1")
    stand_in.released.clear()
    await proxy.chat(HARD, model=GENERAL, mode="shadow")
    await stand_in.asked.wait()
    live = await proxy.chat(EASY)
    stand_in.released.set()
    await proxy.shadow_drained()

    assert live.outcome == "failopen_timeout"
    assert await proxy.metric("semrouter_shadow_total", result="differ") == 1


async def test_it_waits_while_requests_that_somebody_waits_for_take_all_room(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_ROUTING_IN_FLIGHT="1")
    stand_in.released.clear()
    live = asyncio.create_task(proxy.chat(EASY))
    await stand_in.asked.wait()
    await proxy.chat(HARD, model=GENERAL, mode="shadow")
    stand_in.released.set()
    await live
    await proxy.until_ended(2)
    await proxy.shadow_drained()

    assert await proxy.metric("semrouter_shadow_total", result="differ") == 1


async def test_why_a_decision_failed_is_counted_and_logged(
    proxy: Proxy, stand_in: StandInTriton, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "semrouter.decisions")
    stand_in.answer = b"no decision"

    await proxy.chat(HARD, model=GENERAL, mode="shadow")
    await proxy.until_ended(1)
    await proxy.shadow_drained()

    lines = [json.loads(entry.message) for entry in caplog.records if "decisions" in entry.name]
    assert [line["not_judged"] for line in lines] == ["error"]
    assert await proxy.metric("semrouter_shadow_total", result="failed", reason="error") == 1


async def test_shadow_decisions_that_do_not_fit_are_dropped_and_counted(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_SHADOW_QUEUE="1")
    stand_in.released.clear()

    answers = [await proxy.chat(HARD, model=GENERAL, mode="shadow") for _ in range(7)]

    assert [answer.outcome for answer in answers] == ["shadow"] * 7
    assert await proxy.metric("semrouter_shadow_total", result="dropped") == 2
