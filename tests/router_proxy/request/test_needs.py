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


BASE64 = "QUJD" * 25_000
LINES = "\r\n".join(BASE64[at : at + 76] for at in range(0, len(BASE64), 76))


@pytest.mark.parametrize(
    "member",
    [
        pytest.param({"url": "data:image/png;base64," + BASE64}, id="a data URL"),
        pytest.param({"data": BASE64}, id="bare"),
        pytest.param({"data": LINES}, id="in lines"),
        pytest.param({"data": BASE64.replace("D", "/")}, id="with slashes"),
        pytest.param({"data": BASE64.replace("D", "_").replace("C", "-")}, id="for URLs"),
        pytest.param({"data": BASE64[:-1] + "="}, id="padded"),
        pytest.param({"data": BASE64.replace("A", "%2B")}, id="percent-encoded"),
        pytest.param({"file_data": "data:application/pdf;base64," + BASE64, "filename": "a.pdf"}, id="a file"),
        pytest.param({"type": "base64", "media_type": "application/pdf", "data": BASE64}, id="a document"),
    ],
)
@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "as PHP escapes it"])
def test_no_wrapping_of_base64_is_text(member: dict[str, str], escaped: bool) -> None:  # noqa: FBT001 - a column
    for kind in ("image_url", "image", "document", "file", "input_file", "input_audio"):
        raw = json.dumps(user({"type": kind, kind: member}))
        assert read_needs((raw.replace("/", "\\/") if escaped else raw).encode()).tokens < 100


def test_a_text_file_is_as_much_text_as_it_holds() -> None:
    file = {"type": "file", "file": {"file_data": "data:text/plain;base64," + BASE64}}

    assert 18_000 <= read_needs(json.dumps(user(file)).encode()).tokens <= 19_000


def test_a_document_of_plain_text_is_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "a word " * 4000}

    assert read_needs(json.dumps(user({"type": "document", "source": source})).encode()).tokens >= 7000


@pytest.mark.parametrize("member", ["text", "content", "prompt", "input"])
def test_what_somebody_wrote_is_text_whatever_it_looks_like(member: str) -> None:
    assert read_needs(json.dumps({member: BASE64}).encode()).tokens >= 25_000


@pytest.mark.parametrize(
    "text", ["Сколько будет дважды два? " * 400, "二足す二はいくつですか" * 400, 'a\n"b"\t' * 1000]
)
def test_escapes_are_the_characters_they_stand_for(text: str) -> None:
    plain, escaped = (json.dumps({"prompt": text}, ensure_ascii=ascii_only).encode() for ascii_only in (False, True))

    assert len(escaped) > len(plain) or "\n" in text
    assert read_needs(escaped).tokens <= 1.6 * len(text.encode()) / 4 + 20
    assert read_needs(plain).tokens <= len(text.encode()) / 4 + 20


def test_the_indentation_of_tools_is_no_text() -> None:
    schema = {
        "type": "object",
        "properties": {f"field_{n}": {"type": "string", "enum": ["a", "b"]} for n in range(200)},
    }
    body = {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}

    compact, indented = (json.dumps(body, **layout).encode() for layout in ({"separators": (",", ":")}, {"indent": 8}))

    assert len(indented) > 3 * len(compact)
    assert read_needs(indented).tokens <= 1.1 * read_needs(compact).tokens + 20


@pytest.mark.parametrize("stated", ["true", '"500"', "null", "1e9", "-5", "[1]", "{}", "99999999999999999999", "5.5"])
def test_a_number_of_tokens_that_is_none_counts_as_nothing(stated: str) -> None:
    assert read_needs(f'{{"max_tokens": {stated}}}'.encode()).tokens < 20
