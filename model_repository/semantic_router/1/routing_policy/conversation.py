"""The ask: which text of a request is judged. All readers are total: an odd shape holds no text, it is no error."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

SHORT_ASK_CHARACTERS = 20
INJECTED_TAGS = ("system-reminder",)
_TEXT_PARTS = ("text", "input_text")


def chat_ask(messages: Any, injected_tags: Sequence[str] = INJECTED_TAGS) -> str | None:
    """Return what the user asked for last in OpenAI chat `messages`; None when no user turn holds text."""
    return _last_ask(_user_texts(messages), injected_tags)


def _last_ask(texts_latest_first: Iterable[str], injected_tags: Sequence[str]) -> str | None:
    """Return the latest text; one too short to judge ("go on") brings the ask before it along."""
    asks = (ask for text in texts_latest_first if (ask := _strip_injected(text, injected_tags)))
    last = next(asks, None)
    if last is None or len(last) > SHORT_ASK_CHARACTERS:
        return last
    previous = next(asks, None)
    return f"{previous}\n\n{last}" if previous else last


def _strip_injected(text: str, injected_tags: Sequence[str]) -> str:
    """Remove blocks that a client's harness put into the user turn; only whole blocks of the listed tags."""
    for tag in injected_tags:
        text = "".join(_outside_tag(text, tag))
    return text.strip()


def _outside_tag(text: str, tag: str) -> Iterator[str]:
    """Yield what lies outside `<tag …>…</tag>`, in linear time whatever the text; an unclosed tag is plain text."""
    opening, closing = f"<{tag}", f"</{tag}>"
    kept_from = searched_from = 0
    while (start := text.find(opening, searched_from)) >= 0 and (end := text.find(closing, start)) >= 0:
        searched_from = start + len(opening)
        if text[searched_from] == ">" or text[searched_from].isspace():
            yield text[kept_from:start]
            kept_from = searched_from = end + len(closing)
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
