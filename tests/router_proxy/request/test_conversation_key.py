"""Which requests count as one conversation."""

import json
from typing import Any

import pytest

from router_proxy.request.conversation_key import conversation_key

TOOLS = [{"type": "function", "function": {"name": "search"}}]
SYSTEM = {"role": "system", "content": "You are terse."}
MARK = {"cache_control": {"type": "ephemeral"}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def key(headers: dict[str, str] | None = None, **body: Any) -> bytes:
    return conversation_key(headers or {}, json.dumps(body).encode())


def marked(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text, **MARK}]}


def unmarked(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


FIRST = user("What is a monad?")
LATER = [FIRST, assistant("A monoid."), user("Of what?")]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        pytest.param({"messages": [SYSTEM, FIRST]}, {"messages": [SYSTEM, *LATER]}, id="chat"),
        pytest.param({"messages": [FIRST], "stream": True}, {"messages": LATER, "seed": 1}, id="other settings"),
        pytest.param({"tools": TOOLS, "messages": [FIRST]}, {"tools": TOOLS, "messages": LATER}, id="with tools"),
        pytest.param({"input": [FIRST]}, {"input": LATER}, id="responses"),
        pytest.param(
            {"system": "Be brief.", "messages": [marked("hi")]},
            {"system": "Be brief.", "messages": [unmarked("hi"), assistant("yes?"), marked("and?")]},
            id="messages, the cache mark moved on",
        ),
        pytest.param({"prompt_cache_key": "a", "messages": [FIRST]}, {"prompt_cache_key": "a", "input": "x"}, id="key"),
        pytest.param({"conversation": "c1", "input": "x"}, {"conversation": {"id": "c1"}, "input": "y"}, id="object"),
    ],
)
def test_the_turns_of_a_conversation_share_a_key(first: dict[str, Any], later: dict[str, Any]) -> None:
    assert key(**first) == key(**later)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"messages": [FIRST]}, {"messages": [user("What is a functor?")]}, id="question"),
        pytest.param({"messages": [SYSTEM, FIRST]}, {"messages": [FIRST]}, id="system text"),
        pytest.param({"tools": TOOLS, "messages": [FIRST]}, {"messages": [FIRST]}, id="tools"),
        pytest.param({"input": "a"}, {"input": "b"}, id="responses"),
        pytest.param({"prompt": "a"}, {"prompt": "b"}, id="completions"),
        pytest.param({"conversation": "c1", "input": "x"}, {"conversation": "c2", "input": "x"}, id="conversation"),
        pytest.param({"prompt_cache_key": "", "input": "x"}, {"prompt_cache_key": "a", "input": "x"}, id="empty"),
    ],
)
def test_conversations_that_begin_differently_do_not(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key(**one) != key(**other)


@pytest.mark.parametrize("header", ["x-session-id", "session_id", "x-claude-code-session-id"])
def test_a_session_that_the_client_names_is_the_key(header: str) -> None:
    assert key({header: "s1"}, messages=[FIRST]) == key({header: "s1"}, messages=[user("else")]) == b"s1"


@pytest.mark.parametrize(
    "raw",
    [b"", b"not json", b"\xff\xfe", b'{"messages": 7}', b'{"messages": [1, "x", null]}', b'{"tools": ' + b"[" * 2000],
    ids=["empty", "a form", "no text", "no list", "no messages", "nested"],
)
def test_any_body_has_a_key(raw: bytes) -> None:
    assert conversation_key({}, raw) == conversation_key({}, raw)


def test_the_turns_of_a_large_conversation_share_one_too() -> None:
    history = [user("x" * 20_000), assistant("y" * 600_000)]

    assert key(messages=history) == key(messages=[*history, user("and now?")])
