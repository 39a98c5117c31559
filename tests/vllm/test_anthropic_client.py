"""The official `anthropic` package against real vLLM: Messages, streamed and not, tools, and counting tokens."""

from collections.abc import AsyncIterator, Iterator

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from .conftest import EASY, GENERAL, HARD, REASONING, Router

AUTO = {"X-Dynamo-Routing": "auto"}
PROMPTS = pytest.mark.parametrize(
    ("prompt", "model"), [pytest.param(HARD, REASONING, id="reasoning"), pytest.param(EASY, GENERAL, id="general")]
)
TOOL: ToolParam = {
    "name": "weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Oslo"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def asking(prompt: str) -> list[MessageParam]:
    return [{"role": "user", "content": [{"type": "text", "text": prompt}]}]


@pytest.fixture
def client(router: Router) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=router.url, api_key="x", default_headers=AUTO, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(router: Router) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=router.url, api_key="x", default_headers=AUTO, max_retries=0
    ) as client:
        yield client


@PROMPTS
def test_a_message_comes_from_the_model_decided_on(client: anthropic.Anthropic, prompt: str, model: str) -> None:
    message = client.messages.create(model="router", messages=asking(prompt), max_tokens=12)

    assert message.model == model
    assert message.usage.output_tokens == 12


@PROMPTS
def test_a_message_is_streamed(client: anthropic.Anthropic, prompt: str, model: str) -> None:
    with client.messages.stream(model="router", messages=asking(prompt), max_tokens=12) as stream:
        said = "".join(stream.text_stream)
        message = stream.get_final_message()

    assert message.model == model
    assert message.usage.output_tokens == 12
    assert message.stop_reason == "max_tokens"
    assert said


@PROMPTS
async def test_the_asynchronous_client_is_routed(
    async_client: anthropic.AsyncAnthropic, prompt: str, model: str
) -> None:
    message = await async_client.messages.create(model="router", messages=asking(prompt), max_tokens=8)
    async with async_client.messages.stream(model="router", messages=asking(prompt), max_tokens=8) as stream:
        streamed = await stream.get_final_message()

    assert (message.model, streamed.model) == (model, model)


def test_a_tool_is_called(client: anthropic.Anthropic) -> None:
    message = client.messages.create(
        model="router",
        messages=asking(EASY),
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "weather"},
        max_tokens=64,
    )

    [call] = [block for block in message.content if block.type == "tool_use"]
    assert call.name == "weather"
    assert call.input in ({"city": "Paris"}, {"city": "Oslo"})


def test_a_tool_loop_stays_on_the_model_of_its_ask(client: anthropic.Anthropic) -> None:
    loop: list[MessageParam] = [
        *asking(HARD),
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}]},
    ]

    message = client.messages.create(model="router", messages=loop, tools=[TOOL], max_tokens=8)

    assert message.model == REASONING


@PROMPTS
def test_tokens_are_counted(client: anthropic.Anthropic, prompt: str, model: str) -> None:  # noqa: ARG001
    counted = client.messages.count_tokens(model="router", messages=asking(prompt))
    message = client.messages.create(model="router", messages=asking(prompt), max_tokens=1)

    assert counted.input_tokens == message.usage.input_tokens


def test_an_unknown_model_is_the_error_the_client_expects(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as refused:
        client.messages.create(model="nobody/serves-this", messages=asking(EASY), max_tokens=8)

    assert refused.value.type == "not_found_error"
