"""The mode table, answered by real models that name themselves."""

from typing import Any

import aiohttp
import pytest

from .conftest import EASY, GENERAL, HARD, REASONING, Router


async def chat(
    http: aiohttp.ClientSession, router: Router, mode: str | None, model: str, prompt: str
) -> tuple[aiohttp.ClientResponse, dict[str, Any]]:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 4}
    headers = {} if mode is None else {"X-Dynamo-Routing": mode}
    async with http.post(f"{router.url}/v1/chat/completions", json=body, headers=headers) as answer:
        return answer, await answer.json()


@pytest.mark.parametrize(
    ("mode", "model", "prompt", "answered_by", "outcome"),
    [
        pytest.param(None, GENERAL, HARD, GENERAL, "off", id="no header honours the model"),
        pytest.param("off", GENERAL, HARD, GENERAL, "off", id="off honours the model"),
        pytest.param("auto", "router", HARD, REASONING, "routed", id="auto routes to reasoning"),
        pytest.param("auto", "router", EASY, GENERAL, "routed", id="auto routes to general"),
        pytest.param("auto", "", HARD, REASONING, "routed", id="auto routes an empty model"),
        pytest.param("auto", GENERAL, HARD, GENERAL, "explicit", id="auto honours an explicit model"),
        pytest.param("shadow", GENERAL, HARD, GENERAL, "shadow", id="shadow honours the model"),
        pytest.param("shadow", "router", HARD, GENERAL, "shadow", id="shadow gives the alias to the abstain model"),
        pytest.param("force", GENERAL, HARD, REASONING, "routed", id="force overrides the model"),
        pytest.param("force", REASONING, EASY, GENERAL, "routed", id="force overrides it the other way"),
    ],
)
async def test_a_mode_decides_who_answers(
    http: aiohttp.ClientSession,
    router: Router,
    mode: str | None,
    model: str,
    prompt: str,
    answered_by: str,
    outcome: str,
) -> None:
    answer, body = await chat(http, router, mode, model, prompt)

    assert answer.status == 200
    assert body["model"] == answered_by
    assert answer.headers["x-semrouter-outcome"] == outcome
    assert answer.headers["x-semrouter-upstream"] == answered_by


async def test_the_alias_without_routing_is_refused(http: aiohttp.ClientSession, router: Router) -> None:
    answer, body = await chat(http, router, "off", "router", HARD)

    assert answer.status == 404
    assert body["error"]["code"] == "model_not_found"
