"""The official `openai` package, synchronous and not, against the running proxy."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

from .conftest import EASY, GENERAL, HARD, REASONING, Proxy

OPTIONS: dict[str, Any] = {"api_key": "x", "default_headers": {"X-Dynamo-Routing": "auto"}, "max_retries": 0}


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=str(proxy.client.make_url("/v1")), **OPTIONS) as client:
        yield client


@pytest.fixture
def blocking_client(proxy: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=str(proxy.client.make_url("/v1")), **OPTIONS) as client:
        yield client


async def test_a_completion_is_routed(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="router", messages=[{"role": "user", "content": HARD}])

    assert answer.model == REASONING
    assert answer.choices[0].message.content == f"from {REASONING}"


async def test_a_stream_is_routed(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="router", messages=[{"role": "user", "content": EASY}], stream=True
    )

    assert [chunk.choices[0].delta.content async for chunk in stream if chunk.choices] == ["from ", GENERAL]


async def test_the_blocking_client_is_routed(blocking_client: openai.OpenAI) -> None:
    def converse() -> tuple[str, list[str | None]]:
        answer = blocking_client.chat.completions.create(model="router", messages=[{"role": "user", "content": HARD}])
        stream = blocking_client.chat.completions.create(
            model="router", messages=[{"role": "user", "content": EASY}], stream=True
        )
        return answer.model, [chunk.choices[0].delta.content for chunk in stream if chunk.choices]

    model, words = await asyncio.to_thread(converse)

    assert (model, words) == (REASONING, ["from ", GENERAL])


async def test_our_errors_are_its_errors(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": HARD}])

    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


async def test_models_are_listed(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == [REASONING, GENERAL, "router"]
