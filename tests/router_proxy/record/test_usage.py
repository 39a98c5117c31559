"""Token counts as the routed shapes state them."""

import json

import pytest

from router_proxy.record.usage import Usage, read_usage

OPENAI = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 4}}


EARLIER = {"input_tokens": 7, "output_tokens": 1}
ANTHROPIC = {"input_tokens": 7, "output_tokens": 5}


def events(*values: object) -> str:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values)


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(json.dumps({"choices": [], "usage": OPENAI}), id="OpenAI"),
        pytest.param(json.dumps({"usage": OPENAI, "id": "x"}, indent=1), id="before other members"),
        pytest.param(events({"usage": None}, {"usage": OPENAI}) + "data: [DONE]\n\n", id="a stream"),
        pytest.param(json.dumps({"usage": ANTHROPIC}), id="Anthropic and Responses"),
        pytest.param(events({"usage": EARLIER}, {"usage": ANTHROPIC}), id="the last of several"),
    ],
)
def test_usage_is_read(tail: str) -> None:
    assert read_usage(tail.encode()) == Usage(prompt_tokens=7, completion_tokens=5)


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param("", id="nothing"),
        pytest.param(json.dumps({"usage": None}), id="null"),
        pytest.param(json.dumps({"usage": {"output_tokens": 5}}), id="half of it"),
        pytest.param(json.dumps({"usage": {"prompt_tokens": "7", "completion_tokens": 5}}), id="not numbers"),
        pytest.param(json.dumps({"content": json.dumps({"usage": OPENAI})}), id="in a model's words"),
        pytest.param('"usage": {"prompt_tokens": 7, "compl', id="cut off"),
    ],
)
def test_anything_else_is_unknown(tail: str) -> None:
    assert read_usage(tail.encode()) is None
