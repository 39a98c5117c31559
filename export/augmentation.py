"""Other ways to write the same prompt: what people do to text, without changing what they ask."""

import random
from collections.abc import Callable, Sequence

Rewrite = Callable[[str, random.Random], str]

GREETINGS = ("hi, ", "hello! ", "hey ", "quick one: ", "question: ", "ok so ", "please help: ", "good morning. ")
CLOSINGS = (" thanks!", " thx", " please", " Thank you.", " any idea?", " be brief", " I need this today.")
CHAT = "User: {small_talk}\nAssistant: {answer}\nUser: {text}"
SMALL_TALK = (
    ("hello there", "Hello! What can I do for you?"),
    ("thanks, that worked", "Glad to hear it."),
    ("are you there?", "Yes, go ahead."),
    ("ok next thing", "Sure, what is it?"),
)
REWRITE_SHARE = 0.6  # of the prompts of a pass; the rest stay as written
LONG_WORDS = 30


def rewritten(texts: Sequence[str], seed: int) -> list[str]:
    """Return one variant of each text; the same seed gives the same variants."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, nothing secret
    return [_maybe_rewrite(text, rng) for text in texts]


def _maybe_rewrite(text: str, rng: random.Random) -> str:
    if rng.random() > REWRITE_SHARE:
        return text
    for rewrite in rng.sample(REWRITES, k=rng.choice((1, 1, 2))):
        text = rewrite(text, rng)
    return text


def _typos(text: str, rng: random.Random) -> str:
    """Drop, double or swap letters, about one in forty."""
    out = []
    for char in text:
        fate = rng.random() if char.isalpha() else 1.0
        if fate < 0.008:  # noqa: PLR2004 - a typing error of each kind about once in a hundred letters
            continue
        out.append(char * 2 if fate < 0.016 else char)  # noqa: PLR2004 - as above
        if 0.016 <= fate < 0.025 and len(out) > 1:  # noqa: PLR2004 - as above
            out[-1], out[-2] = out[-2], out[-1]
    return "".join(out)


def _unpunctuated(text: str, rng: random.Random) -> str:  # noqa: ARG001 - one shape for all rewrites
    return text.rstrip(" .?!").replace(",", "")


def _lower(text: str, rng: random.Random) -> str:  # noqa: ARG001 - one shape for all rewrites
    return text.lower()


def _greeted(text: str, rng: random.Random) -> str:
    return rng.choice(GREETINGS) + text


def _closed(text: str, rng: random.Random) -> str:
    return text + rng.choice(CLOSINGS)


def _in_chat(text: str, rng: random.Random) -> str:
    small_talk, answer = rng.choice(SMALL_TALK)
    return CHAT.format(small_talk=small_talk, answer=answer, text=text)


def _quoted(text: str, rng: random.Random) -> str:
    return rng.choice(("> {}", "**{}**", '"{}"', "- {}", "## {}", "Q: {}\nA:", "Task: {}")).format(text)


def _words_dropped(text: str, rng: random.Random) -> str:
    """Leave out a word in twelve: a classifier that needs every word has learned the source, not the task."""
    words = text.split(" ")
    if len(words) < 8:  # noqa: PLR2004 - each word of a short prompt counts
        return text
    return " ".join(word for word in words if rng.random() > 1 / 12)


def _middle_lost(text: str, rng: random.Random) -> str:
    """Lose part of a long text's middle, as clipping does."""
    words = text.split(" ")
    if len(words) < LONG_WORDS:
        return text
    start = rng.randrange(len(words) // 4, len(words) // 2)
    return " ".join(words[:start] + words[start + rng.randrange(1, len(words) // 3) :])


REWRITES: tuple[Rewrite, ...] = (
    _typos,
    _unpunctuated,
    _lower,
    _greeted,
    _closed,
    _in_chat,
    _quoted,
    _words_dropped,
    _middle_lost,
)
