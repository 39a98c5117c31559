"""OpenAI's Responses on real vLLM, with the official client: answers, streams, and ids that carry on."""

from collections.abc import Iterator

import openai
import pytest

from .conftest import EASY, GENERAL, HARD, REASONING, Router

PROMPTS = pytest.mark.parametrize(
    ("prompt", "model"), [pytest.param(HARD, REASONING, id="reasoning"), pytest.param(EASY, GENERAL, id="general")]
)


@pytest.fixture
def client(router: Router) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{router.url}/v1", api_key="x", default_headers={"X-Dynamo-Routing": "auto"}, max_retries=0
    ) as client:
        yield client


@PROMPTS
def test_a_response_comes_from_the_model_decided_on(client: openai.OpenAI, prompt: str, model: str) -> None:
    response = client.responses.create(model="router", input=prompt, max_output_tokens=12)

    assert response.model == model
    assert response.output_text
    assert response.usage is not None
    assert response.usage.output_tokens == 12


@PROMPTS
def test_a_response_is_streamed(client: openai.OpenAI, prompt: str, model: str) -> None:
    whole = client.responses.create(model="router", input=prompt, max_output_tokens=12)

    events = list(client.responses.create(model="router", input=prompt, max_output_tokens=12, stream=True))

    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert events[0].type == "response.created"
    assert last.type in {"response.completed", "response.incomplete"}
    assert last.response.model == model
    assert last.response.usage == whole.usage
    assert said == whole.output_text


@PROMPTS
def test_a_stored_response_is_found_wherever_it_is(client: openai.OpenAI, prompt: str, model: str) -> None:
    stored = client.responses.create(model="router", input=prompt, max_output_tokens=8)

    found = client.responses.retrieve(stored.id)

    assert found.model == model
    assert found.output_text == stored.output_text


@PROMPTS
def test_a_response_continues_where_the_one_before_it_is(client: openai.OpenAI, prompt: str, model: str) -> None:
    first = client.responses.create(model="router", input=prompt, max_output_tokens=8)

    # On its own, this would go to the other model.
    other = EASY if prompt == HARD else HARD
    second = client.responses.create(model="router", input=other, previous_response_id=first.id, max_output_tokens=8)

    assert second.model == model
    assert second.previous_response_id == first.id


def test_a_background_response_is_cancelled_by_its_id(client: openai.OpenAI) -> None:
    started = client.responses.create(model="router", input=HARD, max_output_tokens=60_000, background=True)

    cancelled = client.responses.cancel(started.id)

    assert cancelled.id == started.id
    assert cancelled.status == "cancelled"


def test_an_id_nobody_knows_is_the_upstreams_own_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_nobody_knows")
