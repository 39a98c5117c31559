"""A request too long for the model decided on goes where it fits: by vLLM's `max_model_len`, or by its refusal."""

from typing import Any

import aiohttp

from .conftest import EASY, GENERAL, REASONING, Router

AUTO = {"X-Dynamo-Routing": "auto"}


async def chat(
    http: aiohttp.ClientSession, router: Router, **fields: Any
) -> tuple[aiohttp.ClientResponse, dict[str, Any]]:
    body = {"model": "router", "max_tokens": 4, **fields}
    async with http.post(f"{router.url}/v1/chat/completions", json=body, headers=AUTO) as answer:
        return answer, await answer.json()


async def test_an_answer_too_long_for_the_decided_model_goes_where_it_fits(
    http: aiohttp.ClientSession, router: Router
) -> None:
    """Only the `max_model_len` that vLLM reports tells beforehand that 800 tokens are too many."""
    answer, body = await chat(http, router, messages=[{"role": "user", "content": EASY}], max_tokens=800)

    assert body["model"] == REASONING
    assert answer.headers["x-semrouter-rationale"] == "ineligible_context"
    assert answer.headers["x-semrouter-winner"] == "non-reasoning"


async def test_a_prompt_that_only_vllm_knows_to_be_too_long_goes_where_it_fits(
    http: aiohttp.ClientSession, router: Router
) -> None:
    """About a token per byte, where the estimate is four bytes a token."""
    dense = "".join(chr(0x2800 + index % 256) for index in range(250))

    answer, body = await chat(
        http,
        router,
        messages=[{"role": "assistant", "content": dense}, {"role": "user", "content": EASY}],
    )

    assert body["model"] == REASONING
    assert answer.headers["x-semrouter-rationale"] == "ineligible_context"


async def test_a_prompt_that_fits_nowhere_gets_vllms_own_refusal(http: aiohttp.ClientSession, router: Router) -> None:
    endless = "\u2801\u2802\u2803\u2804 " * 20_000

    answer, body = await chat(
        http,
        router,
        messages=[{"role": "assistant", "content": endless}, {"role": "user", "content": EASY}],
    )

    assert answer.status == 400
    assert "maximum context length" in body["error"]["message"]


async def test_what_the_caller_placed_stays_where_it_was_sent(http: aiohttp.ClientSession, router: Router) -> None:
    answer, body = await chat(http, router, model=GENERAL, messages=[{"role": "user", "content": EASY}], max_tokens=800)

    assert answer.status == 400
    assert answer.headers["x-semrouter-outcome"] == "explicit"
    assert "max_model_len=512" in body["error"]["message"]
