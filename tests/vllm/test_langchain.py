"""`langchain-openai` unchanged: a base URL, a header, and the model name `router`."""

from typing import Literal

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from .conftest import EASY, GENERAL, HARD, REASONING, Router

PROMPTS = pytest.mark.parametrize(
    ("prompt", "model"), [pytest.param(HARD, REASONING, id="reasoning"), pytest.param(EASY, GENERAL, id="general")]
)


@tool
def weather(city: Literal["Paris", "Oslo"]) -> str:
    """Return the weather in a city."""
    return f"sunny in {city}"


@pytest.fixture
def chat(router: Router) -> ChatOpenAI:
    return ChatOpenAI(
        model="router",
        base_url=f"{router.url}/v1",
        api_key=SecretStr("x"),
        default_headers={"X-Dynamo-Routing": "auto"},
        max_completion_tokens=12,
        max_retries=0,
        stream_usage=True,
    )


@PROMPTS
def test_a_chain_is_routed(chat: ChatOpenAI, prompt: str, model: str) -> None:
    answer = chat.invoke(prompt)

    assert answer.response_metadata["model_name"] == model
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 12


@PROMPTS
def test_a_streamed_chain_says_the_same_and_counts_its_tokens(chat: ChatOpenAI, prompt: str, model: str) -> None:
    whole = chat.invoke(prompt)

    streamed = AIMessageChunk(content="")
    for chunk in chat.stream(prompt):
        streamed += chunk

    assert streamed.content == whole.content
    assert streamed.response_metadata["model_name"] == model
    assert streamed.usage_metadata == whole.usage_metadata


async def test_each_prompt_of_an_asynchronous_batch_is_routed(chat: ChatOpenAI) -> None:
    answers = await chat.abatch([HARD, EASY])

    assert [answer.response_metadata["model_name"] for answer in answers] == [REASONING, GENERAL]


def test_a_bound_tool_is_called(chat: ChatOpenAI) -> None:
    answer = chat.bind_tools([weather], tool_choice="weather").invoke(EASY, max_completion_tokens=64)

    [call] = answer.tool_calls
    assert weather.invoke(call).content in {"sunny in Paris", "sunny in Oslo"}
