"""The official `openai` package against real vLLM: chat, tools, legacy completions and the list of models."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from .conftest import EASY, GENERAL, HARD, REASONING, Router

AUTO = {"X-Dynamo-Routing": "auto"}
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Oslo"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
THIS_TOOL: Any = {"type": "function", "function": {"name": "weather"}}
PROMPTS = pytest.mark.parametrize(
    ("prompt", "model"), [pytest.param(HARD, REASONING, id="reasoning"), pytest.param(EASY, GENERAL, id="general")]
)


def asking(prompt: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": prompt}]


@pytest.fixture
def client(router: Router) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{router.url}/v1", api_key="x", default_headers=AUTO, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(router: Router) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{router.url}/v1", api_key="x", default_headers=AUTO, max_retries=0
    ) as client:
        yield client


@PROMPTS
def test_a_completion_comes_from_the_model_decided_on(client: openai.OpenAI, prompt: str, model: str) -> None:
    answer = client.chat.completions.create(model="router", messages=asking(prompt), max_tokens=12)

    assert answer.model == model
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12


@PROMPTS
def test_a_stream_says_what_the_completion_says_and_ends_with_usage(
    client: openai.OpenAI, prompt: str, model: str
) -> None:
    whole = client.chat.completions.create(model="router", messages=asking(prompt), max_tokens=12)

    chunks = list(
        client.chat.completions.create(
            model="router",
            messages=asking(prompt),
            max_tokens=12,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert {chunk.model for chunk in chunks} == {model}
    assert said == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


@PROMPTS
async def test_the_asynchronous_client_is_routed(async_client: openai.AsyncOpenAI, prompt: str, model: str) -> None:
    answer = await async_client.chat.completions.create(model="router", messages=asking(prompt), max_tokens=8)
    stream = await async_client.chat.completions.create(
        model="router", messages=asking(prompt), max_tokens=8, stream=True
    )

    assert answer.model == model
    assert {chunk.model async for chunk in stream} == {model}


def test_a_tool_is_called(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="router", messages=asking(EASY), tools=[TOOL], tool_choice=THIS_TOOL, max_tokens=64
    )

    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert msgspec.json.decode(call.function.arguments)["city"] in {"Paris", "Oslo"}


def test_a_tool_call_is_streamed(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="router", messages=asking(EASY), tools=[TOOL], tool_choice=THIS_TOOL, max_tokens=64
    ) as stream:
        stream.until_done()
        answer = stream.get_final_completion()

    [call] = answer.choices[0].message.tool_calls or []
    assert answer.model == GENERAL
    assert call.function.name == "weather"
    assert msgspec.json.decode(call.function.arguments)["city"] in {"Paris", "Oslo"}


def test_a_tool_may_be_left_alone(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="router", messages=asking(EASY), tools=[TOOL], tool_choice="auto", max_tokens=8
    )

    assert answer.model == GENERAL
    assert answer.choices[0].message.content


def test_a_tool_loop_stays_on_the_model_of_its_ask(client: openai.OpenAI) -> None:
    loop: list[ChatCompletionMessageParam] = [
        *asking(HARD),
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": "sun"},
    ]

    answer = client.chat.completions.create(model="router", messages=loop, tools=[TOOL], max_tokens=8)

    assert answer.model == REASONING


@PROMPTS
def test_a_legacy_completion_is_routed(client: openai.OpenAI, prompt: str, model: str) -> None:
    answer = client.completions.create(model="router", prompt=prompt, max_tokens=8)
    chunks = list(client.completions.create(model="router", prompt=prompt, max_tokens=8, stream=True))

    assert answer.model == model
    assert {chunk.model for chunk in chunks} == {model}
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text


def test_the_models_are_listed_with_the_alias(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {GENERAL, REASONING, "router"}


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="nobody/serves-this", messages=asking(EASY))

    assert refused.value.code == "model_not_found"
