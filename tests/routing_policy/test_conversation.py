"""Which text is judged, on payloads as real clients send them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_policy.conversation import conversation_ask, prompt_ask, responses_ask

PROVE = "Prove that the square root of 2 is irrational."
SUMMARISE = "Summarise the attached report in three sentences."


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **extra: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **extra}


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
PARALLEL_CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": '{"q": "2"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "search", "arguments": '{"q": "3"}'}},
]

CHAT = [
    pytest.param([user(PROVE)], PROVE, id="OpenAI SDK, a string"),
    pytest.param([{"role": "system", "content": "Be brief."}, user(PROVE)], PROVE, id="a system turn is not the ask"),
    pytest.param([{"role": "developer", "content": "Be brief."}, user(PROVE)], PROVE, id="nor is a developer turn"),
    pytest.param([user([{"type": "text", "text": PROVE}])], PROVE, id="OpenAI SDK, parts"),
    pytest.param([user([{"type": "text", "text": "What is"}, IMAGE, {"type": "text", "text": "in this picture?"}])],
                 "What is\nin this picture?", id="text around an image"),
    pytest.param([user([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
                        {"type": "text", "text": "Translate this recording"}])],
                 "Translate this recording", id="text beside a recording"),
    pytest.param([user([{"type": "file", "file": {"file_data": "JVBERi0="}}, {"type": "text", "text": SUMMARISE}])],
                 SUMMARISE, id="an attached file is not the ask"),
    pytest.param([user(SUMMARISE), assistant("Done."), user(PROVE)], PROVE, id="the last of several turns"),
    pytest.param([user(SUMMARISE), assistant("…"), {**user(PROVE), "name": "ann"}], PROVE, id="a named user"),
    pytest.param([user(PROVE), assistant("Let me think: it is")], PROVE, id="a prefilled answer"),
    pytest.param([user(PROVE), assistant(None, tool_calls=PARALLEL_CALLS),
                  {"role": "tool", "tool_call_id": "call_1", "content": "one"},
                  {"role": "tool", "tool_call_id": "call_2", "content": "two"}], PROVE, id="parallel tool calls"),
    pytest.param([user(PROVE), assistant("", function_call={"name": "f", "arguments": "{}"}),
                  {"role": "function", "name": "f", "content": "42"}], PROVE, id="a legacy function call"),
    pytest.param([{"role": "system", "content": "You are a helpful assistant."}, user(PROVE),
                  assistant("", tool_calls=PARALLEL_CALLS[:1]),
                  {"role": "tool", "tool_call_id": "call_1", "content": "[]", "name": "search"}],
                 PROVE, id="LangChain, in a tool loop"),
]  # fmt: skip

MESSAGES = [
    pytest.param([user(PROVE)], PROVE, id="Anthropic SDK, a string"),
    pytest.param([user([{"type": "text", "text": PROVE, "cache_control": {"type": "ephemeral"}}])],
                 PROVE, id="Anthropic SDK, cached blocks"),
    pytest.param([user([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Prove"}},
                        {"type": "text", "text": SUMMARISE}])], SUMMARISE, id="a document is not the ask"),
    pytest.param([user(PROVE), assistant([{"type": "tool_use", "id": "t1", "name": "ls", "input": {}}]),
                  user([{"type": "tool_result", "tool_use_id": "t1", "content": "a.py"}])],
                 PROVE, id="a turn of tool results only"),
    pytest.param([user(PROVE), assistant([{"type": "tool_use", "id": "t1", "name": "ls", "input": {}}]),
                  user([{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a.py"}]},
                        {"type": "text", "text": "<system-reminder>Todo list is empty.</system-reminder>"}])],
                 PROVE, id="tool results with a reminder"),
    pytest.param([user(SUMMARISE), assistant([{"type": "tool_use", "id": "t1", "name": "ls", "input": {}}]),
                  user([{"type": "tool_result", "tool_use_id": "t1", "content": "a.py"},
                        {"type": "text", "text": PROVE}])], PROVE, id="tool results and a new ask"),
    pytest.param([user([{"type": "text", "text": "<system-reminder>\nAs you answer…\n</system-reminder>\n"},
                        {"type": "text", "text": PROVE}])], PROVE, id="an agent's reminder before the ask"),
]  # fmt: skip

FOLLOW_UPS = [
    pytest.param([user(PROVE), assistant("…"), user("go on")], f"{PROVE}\n\ngo on", id="a short follow-up"),
    pytest.param([user(PROVE), assistant("…"), user("go on"), assistant("…"), user("and 3?")],
                 f"{PROVE}\n\nand 3?", id="the second of two short follow-ups"),
    pytest.param([user("hi"), assistant("Hello!"), user("thanks")], "hi\n\nthanks", id="short throughout"),
    pytest.param([user("hi")], "hi", id="short and first"),
    pytest.param([user(PROVE), assistant("…"), user("x" * 20)], f"{PROVE}\n\n{'x' * 20}", id="twenty characters"),
    pytest.param([user(PROVE), assistant("…"), user("x" * 21)], "x" * 21, id="twenty-one characters"),
    pytest.param([user(PROVE), assistant("…"), user([IMAGE])], PROVE, id="an image after the ask"),
]  # fmt: skip

NO_TEXT = [
    pytest.param([], id="no turns"),
    pytest.param(None, id="nothing"),
    pytest.param("prove it", id="a text"),
    pytest.param({"role": "user", "content": PROVE}, id="one message without a list"),
    pytest.param([None, 7, "x", []], id="items that are no messages"),
    pytest.param([user(None)], id="null content"),
    pytest.param([user("")], id="empty text"),
    pytest.param([user(" \n\t")], id="blank text"),
    pytest.param([user([IMAGE])], id="images only"),
    pytest.param([user({"text": PROVE})], id="content of an unknown shape"),
    pytest.param([user([{"type": "text", "text": None}, {"type": "text"}, 7])], id="parts without text"),
    pytest.param([user("<system-reminder>Prove it.</system-reminder>")], id="a reminder only"),
    pytest.param([{"role": "system", "content": PROVE}], id="a system turn only"),
    pytest.param([assistant(PROVE)], id="no user turn"),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "ask"), [*CHAT, *MESSAGES, *FOLLOW_UPS])
def test_the_ask_of_a_conversation(messages: list[Any], ask: str) -> None:
    assert conversation_ask(messages) == ask


@pytest.mark.parametrize("messages", NO_TEXT)
def test_a_conversation_without_user_text_has_no_ask(messages: Any) -> None:
    assert conversation_ask(messages) is None


@pytest.mark.parametrize(
    ("given_input", "ask"),
    [
        pytest.param(PROVE, PROVE, id="a string"),
        pytest.param([user(PROVE)], PROVE, id="an easy message"),
        pytest.param([{"type": "message", **user([{"type": "input_text", "text": PROVE}])}], PROVE,
                     id="a message item"),
        pytest.param([user([{"type": "input_text", "text": SUMMARISE}, {"type": "input_file", "file_id": "f"}])],
                     SUMMARISE, id="a file beside the ask"),
        pytest.param([user(PROVE), {"type": "reasoning", "summary": []},
                      {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                      {"type": "function_call_output", "call_id": "c", "output": "42"}], PROVE, id="a tool loop"),
        pytest.param([{"type": "function_call_output", "call_id": "c", "output": "42"}], None, id="tool output only"),
        pytest.param("", None, id="an empty string"),
        pytest.param(None, None, id="nothing"),
    ],
)  # fmt: skip
def test_the_ask_of_a_responses_input(given_input: Any, ask: str | None) -> None:
    assert responses_ask(given_input) == ask


@pytest.mark.parametrize(
    ("prompt", "ask"),
    [
        pytest.param(PROVE, PROVE, id="a string"),
        pytest.param([PROVE, SUMMARISE], PROVE, id="the first of several"),
        pytest.param([1, 2, 3], None, id="token ids"),
        pytest.param([[1, 2], [3]], None, id="lists of token ids"),
        pytest.param([], None, id="an empty list"),
        pytest.param("  ", None, id="blank"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_the_ask_of_a_legacy_prompt(prompt: Any, ask: str | None) -> None:
    assert prompt_ask(prompt) == ask


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        pytest.param(f"<system-reminder>x</system-reminder>{PROVE}", PROVE, id="before"),
        pytest.param(f"{PROVE}\n<environment_details>\nx\n</environment_details>", PROVE, id="after"),
        pytest.param(f'<system-reminder kind="todo">x</system-reminder>{PROVE}', PROVE, id="with attributes"),
        pytest.param(f"<system-reminder>{PROVE}", f"<system-reminder>{PROVE}", id="unclosed"),
        pytest.param(f"</system-reminder>{PROVE}", f"</system-reminder>{PROVE}", id="unopened"),
        pytest.param(f"<system-reminders>{PROVE}</system-reminder>", f"<system-reminders>{PROVE}</system-reminder>",
                     id="another tag with the same beginning"),
        pytest.param(f"<b>{PROVE}</b>", f"<b>{PROVE}</b>", id="a tag of the user's own"),
    ],
)  # fmt: skip
def test_only_whole_blocks_of_the_listed_tags_are_stripped(text: str, ask: str) -> None:
    assert conversation_ask([user(text)]) == ask


def test_the_list_of_tags_can_be_another() -> None:
    assert conversation_ask([user(f"<note>x</note>{PROVE}")], injected_tags=["note"]) == PROVE


@pytest.mark.parametrize("opening", ["<system-reminder ", "<system-reminders>"])
def test_a_million_tags_are_read_in_linear_time(opening: str) -> None:
    """Quadratic time would run into the suite's timeout."""
    text = opening * 1_000_000

    assert conversation_ask([user(text + "</system-reminders>")]) == text + "</system-reminders>"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]) | st.text(max_size=4), inner, max_size=4)
    ),
)


@given(_JSON)
def test_any_json_is_read_without_an_error(value: Any) -> None:
    for ask in (conversation_ask(value), responses_ask(value), prompt_ask(value)):
        assert ask is None or ask.strip()
