"""Responses that their server keeps: requests about them, or going on from them, go to that server."""

from typing import Any

import pytest

from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING, Proxy

PATH = "/v1/responses"


async def respond(proxy: Proxy, **body: Any) -> Any:
    return await proxy.post(PATH, {"model": "router", **body}, mode="auto")


async def test_a_request_going_on_from_an_answer_goes_to_who_gave_it(proxy: Proxy) -> None:
    first = await respond(proxy, input=HARD)

    second = await respond(proxy, input=EASY, previous_response_id=first.body["id"])

    assert (first.body["model"], second.body["model"]) == (REASONING, REASONING)
    assert (first.outcome, second.outcome) == ("routed", "explicit")


async def test_an_answer_that_never_passed_here_is_looked_for(proxy: Proxy) -> None:
    proxy.reasoning.stored.add("resp_elsewhere")

    answer = await respond(proxy, input=EASY, previous_response_id="resp_elsewhere")

    assert (answer.body["model"], answer.outcome) == (REASONING, "explicit")


@pytest.mark.parametrize("unknown", ["resp_unknown", "../admin", "", None, 7])
async def test_an_answer_nobody_knows_is_no_reason_not_to_route(proxy: Proxy, unknown: Any) -> None:
    answer = await respond(proxy, input=HARD, previous_response_id=unknown)

    assert (answer.body["model"], answer.outcome) == (REASONING, "routed")


async def test_a_model_named_by_the_caller_is_honoured(proxy: Proxy) -> None:
    proxy.reasoning.stored.add("resp_1")

    answer = await respond(proxy, model=GENERAL, input=EASY, previous_response_id="resp_1")

    assert answer.body["model"] == GENERAL


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")]
)
async def test_what_is_about_a_response_goes_to_who_keeps_it(proxy: Proxy, method: str, path: str) -> None:
    proxy.reasoning.stored.add("resp_1")

    async with proxy.client.request(method, f"{PATH}/resp_1{path}") as response:
        answer = await response.json()

    assert (response.status, answer["model"], answer["received"]["path"]) == (200, REASONING, f"{PATH}/resp_1{path}")


async def test_a_response_nobody_keeps_is_an_upstreams_own_404(proxy: Proxy) -> None:
    async with proxy.client.get(f"{PATH}/resp_unknown") as response:
        answer = await response.json()

    assert (response.status, answer["message"]) == (404, "no such response")
