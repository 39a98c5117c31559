"""The decision log counts the tokens that vLLM counted, whatever the surface, streamed or not."""

from typing import Any

import aiohttp
import pytest

from .conftest import EASY, Router

MESSAGES = {"messages": [{"role": "user", "content": EASY}], "max_tokens": 8}
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/chat/completions", MESSAGES, id="chat"),
        pytest.param("/v1/chat/completions", MESSAGES | WITH_USAGE, id="streamed chat"),
        pytest.param("/v1/completions", {"prompt": EASY, "max_tokens": 8}, id="completions"),
        pytest.param("/v1/completions", {"prompt": EASY, "max_tokens": 8} | WITH_USAGE, id="streamed completions"),
        pytest.param("/v1/responses", {"input": EASY, "max_output_tokens": 8}, id="responses"),
        pytest.param("/v1/responses", {"input": EASY, "max_output_tokens": 8, "stream": True}, id="streamed responses"),
        pytest.param("/v1/messages", MESSAGES, id="messages"),
        pytest.param("/v1/messages", MESSAGES | {"stream": True}, id="streamed messages"),
    ],
)
async def test_the_log_has_the_usage_that_the_answer_states(
    router: Router, http: aiohttp.ClientSession, path: str, body: dict[str, Any]
) -> None:
    usage = (await logged(router, http, path, body))["usage"]

    assert usage["completion_tokens"] == 8
    assert usage["prompt_tokens"] > 0


async def test_a_stream_that_states_no_usage_is_logged_without(router: Router, http: aiohttp.ClientSession) -> None:
    record = await logged(router, http, "/v1/chat/completions", MESSAGES | {"stream": True})

    assert record["usage"] is None


async def logged(router: Router, http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send `body` and return its line in the decision log."""
    headers = {"X-Dynamo-Routing": "auto"}
    async with http.post(f"{router.url}{path}", json={"model": "router", **body}, headers=headers) as answer:
        await answer.read()
    own = answer.headers["x-request-id"]
    router.process.wait_until(lambda: any(each["request_id"] == own for each in router.log_records()), 10)
    return next(each for each in router.log_records() if each["request_id"] == own)
