"""The official OpenAI client works unchanged: it only sets a model name and a header."""

import pytest
from openai import NotFoundError, OpenAI, Stream
from openai.types.chat import ChatCompletionChunk

from .conftest import DEEPSEEK, LLAMA, Stack

PROOF = "Prove that the square root of 2 is irrational. Show each step."


@pytest.fixture
def client(onnx_stack: Stack) -> OpenAI:
    return OpenAI(base_url=f"{onnx_stack.url}/v1", api_key="unused", default_headers={"X-Dynamo-Routing": "auto"})


def test_a_completion_names_the_model_it_was_routed_to(client: OpenAI) -> None:
    with client:
        completion = client.chat.completions.create(model="router", messages=[{"role": "user", "content": PROOF}])

    assert completion.model == DEEPSEEK
    assert completion.usage is not None


def test_a_stream_names_the_model_and_carries_the_decision_in_its_headers(client: OpenAI) -> None:
    question = "What is the capital of France?"

    with (
        client,
        client.chat.completions.with_streaming_response.create(
            model="router", messages=[{"role": "user", "content": question}], stream=True
        ) as response,
    ):
        stream = response.parse()
        assert isinstance(stream, Stream)
        chunks: list[ChatCompletionChunk] = list(stream)

    assert {chunk.model for chunk in chunks} == {LLAMA}
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).startswith(f"This is {LLAMA}")
    assert response.headers["x-semrouter-target"] == LLAMA
    assert response.headers["x-semrouter-rationale"] == "general"


def test_an_unknown_model_is_the_error_the_client_expects(client: OpenAI) -> None:
    with client, pytest.raises(NotFoundError) as refused:
        client.chat.completions.create(model="nobody/serves-this", messages=[{"role": "user", "content": "hi"}])

    assert refused.value.code == "model_not_found"
