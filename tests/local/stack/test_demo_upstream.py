"""The demo upstream, asked by the official clients in every shape that the router routes."""

from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
from aiohttp.test_utils import TestServer

from local.stack.demo_upstream import make_app

SAID = "This is m, the demo upstream that was asked."


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with TestServer(make_app(["m"])) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture
async def anthropic_client(url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="x", max_retries=0) as client:
        yield client


async def test_chat(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    stream = await client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]

    assert (whole.model, whole.choices[0].message.content) == ("m", SAID)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 9


async def test_completions(client: openai.AsyncOpenAI) -> None:
    whole = await client.completions.create(model="m", prompt="hi")
    stream = await client.completions.create(model="m", prompt="hi", stream=True)

    assert whole.choices[0].text == SAID
    assert "".join([chunk.choices[0].text async for chunk in stream]) == SAID


async def test_responses(client: openai.AsyncOpenAI) -> None:
    whole = await client.responses.create(model="m", input="hi")
    stream = await client.responses.create(model="m", input="hi", stream=True)
    events = [event async for event in stream]

    assert whole.output_text == SAID
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SAID
    assert events[-1].type == "response.completed"


async def test_messages(anthropic_client: anthropic.AsyncAnthropic) -> None:
    whole = await anthropic_client.messages.create(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    )
    async with anthropic_client.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        streamed = await stream.get_final_message()
    counted = await anthropic_client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi"}])

    for message in (whole, streamed):
        (block,) = message.content
        assert block.type == "text"
        assert block.text == SAID
    assert counted.input_tokens > 0


async def test_another_model_is_unknown(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="other", input="hi")


async def test_a_request_without_an_ask_is_refused(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="expected an object with `model` and `input`"):
        await client.responses.create(model="m")
