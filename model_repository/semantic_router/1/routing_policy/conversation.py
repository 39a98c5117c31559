"""The ask: which text of a request is judged. All readers are total: an odd shape holds no text, it is no error."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

SHORT_ASK_CHARACTERS = 20
# What agents' harnesses put into user turns on their own.
INJECTED_TAGS = ("system-reminder", "environment_details", "environment_context", "reminderInstructions")
_TEXT_PARTS = ("text", "input_text")
_ENDS_TAG_NAME = (">", " ", "\n", "\t")


def conversation_ask(messages: Any, injected_tags: Sequence[str] = INJECTED_TAGS) -> str | None:
    """Return what the user asked for last in `messages` of OpenAI's chat or Anthropic's; None without user text."""
    return _last_ask(_user_texts(messages), injected_tags)


def responses_ask(given: Any, injected_tags: Sequence[str] = INJECTED_TAGS) -> str | None:
    """Return what the user asked for last in the `input` of OpenAI's Responses: a text, or a list of items."""
    if isinstance(given, str):
        return _last_ask([given], injected_tags)
    return conversation_ask(given, injected_tags)


def prompt_ask(prompt: Any) -> str | None:
    """Return the `prompt` of a legacy completion, the first of several; token ids hold no text."""
    first = prompt[0] if isinstance(prompt, list) and prompt else prompt
    return (first.strip() or None) if isinstance(first, str) else None


def _last_ask(texts_latest_first: Iterable[str], injected_tags: Sequence[str]) -> str | None:
    """Return the latest text; one too short to judge ("go on") brings along the ask that it follows up."""
    asks = (ask for text in texts_latest_first if (ask := _strip_injected(text, injected_tags)))
    last = next(asks, None)
    if last is None or len(last) > SHORT_ASK_CHARACTERS:
        return last
    earlier = next(asks, None)
    if earlier is None:
        return last
    followed_up = earlier if len(earlier) > SHORT_ASK_CHARACTERS else _first_long(asks) or earlier
    return f"{followed_up}\n\n{last}"


def _first_long(asks: Iterable[str]) -> str | None:
    return next((ask for ask in asks if len(ask) > SHORT_ASK_CHARACTERS), None)


def _strip_injected(text: str, injected_tags: Sequence[str]) -> str:
    for tag in injected_tags:
        text = "".join(_outside_tag(text, tag))
    return text.strip()


def _outside_tag(text: str, tag: str) -> Iterator[str]:
    """Yield what lies outside `<tag …>…</tag>`, in linear time whatever the text; an unclosed tag is plain text."""
    opening, closing = f"<{tag}", f"</{tag}>"
    kept_from = 0
    start = text.find(opening)
    while start >= 0:
        inside = start + len(opening)
        if text[inside : inside + 1] in _ENDS_TAG_NAME:
            end = text.find(closing, inside)
            if end < 0:
                break
            yield text[kept_from:start]
            kept_from = inside = end + len(closing)
        start = text.find(opening, inside)
    yield text[kept_from:]


def _user_texts(messages: Any) -> Iterator[str]:
    """Yield the text of each user turn, latest first; a turn of tool results only has none."""
    for message in reversed(_items(messages)):
        if isinstance(message, dict) and message.get("role") == "user":
            yield _joined_text(message.get("content"))


def _joined_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(text for part in _items(content) if (text := _part_text(part)))


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type", "text") not in _TEXT_PARTS:
        return ""
    text = part.get("text")
    return text if isinstance(text, str) else ""


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
