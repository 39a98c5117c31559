"""What a request needs and whether an upstream has it."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from router_proxy.request.needs import Abilities, Needs, read_needs, shortfall


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


TEXT = {"type": "text", "text": 'a part of "type": "image_url" in words only'}


@pytest.mark.parametrize(
    ("body", "modalities"),
    [
        pytest.param(user(TEXT), set(), id="text"),
        pytest.param(
            user(TEXT, {"type": "image_url", "image_url": {"url": "https://a"}}), {"image"}, id="OpenAI image"
        ),
        pytest.param(user({"type": "input_image", "image_url": "https://a"}), {"image"}, id="Responses image"),
        pytest.param(user({"type": "image", "source": {"type": "base64"}}), {"image"}, id="Anthropic image"),
        pytest.param(
            user({"type": "input_audio", "input_audio": {}}, {"type": "image"}), {"audio", "image"}, id="both"
        ),
    ],
)
def test_modalities_are_read_from_the_parts(body: Any, modalities: set[str]) -> None:
    for layout in ({}, {"separators": (",", ":")}, {"indent": 2}):
        assert read_needs(json.dumps(body, **layout).encode()).modalities == modalities


@pytest.mark.parametrize(
    ("body", "tools"),
    [({}, False), ({"tools": None}, False), ({"tools": []}, False), ({"tools": [{"type": "function"}]}, True)],
)
def test_tools_count_when_there_are_any(body: Any, tools: bool) -> None:  # noqa: FBT001 - a column of the table
    assert read_needs(json.dumps(body).encode()).tools is tools


def test_tokens_are_estimated_from_bytes_and_the_answer_asked_for() -> None:
    raw = json.dumps({"prompt": "x" * 4000, "max_tokens": 500}).encode()

    assert 1500 <= read_needs(raw).tokens <= 1520


def test_an_image_is_not_taken_for_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}

    assert read_needs(json.dumps(user(image)).encode()).tokens < 100


@pytest.mark.parametrize(
    ("needs", "abilities", "lacking"),
    [
        pytest.param({}, {}, None, id="nothing"),
        pytest.param({"modalities": {"image"}}, {}, "image", id="image"),
        pytest.param({"modalities": {"image"}}, {"modalities": {"text", "image"}}, None, id="image there"),
        pytest.param({"tools": True}, {"tools": False}, "tools", id="tools"),
        pytest.param({"tokens": 100}, {"max_tokens": 99}, "context", id="context"),
        pytest.param({"tokens": 100}, {"max_tokens": 100}, None, id="context that just fits"),
        pytest.param({"tokens": 10**9}, {"max_tokens": None}, None, id="unknown context"),
    ],
)
def test_what_is_lacking(needs: dict[str, Any], abilities: dict[str, Any], lacking: str | None) -> None:
    needed = Needs(modalities=frozenset(), tools=False, tokens=0)
    had = Abilities(modalities=frozenset({"text"}), tools=True, max_tokens=None)

    assert shortfall(replace(needed, **needs), replace(had, **abilities)) == lacking
