"""Other ways to write the same prompt: what people do to text, without changing what they ask."""

import random
from collections.abc import Callable, Sequence

from .framings import advertised, marked_up

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
KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
KEYS_BESIDE = {key: row[max(at - 1, 0) : at] + row[at + 1 : at + 2] for row in KEY_ROWS for at, key in enumerate(row)}


def rewritten(texts: Sequence[str], seed: int, share: float = REWRITE_SHARE) -> list[str]:
    """Return one variant of each text, `share` of them changed; the same seed gives the same variants."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, nothing secret
    return [_maybe_rewrite(text, rng, share) for text in texts]


def _maybe_rewrite(text: str, rng: random.Random, share: float) -> str:
    if rng.random() > share:
        return text
    drawn = rng.choices(list(REWRITES), weights=list(REWRITES.values()), k=rng.choice((1, 1, 2)))
    for rewrite in dict.fromkeys(drawn):
        text = rewrite(text, rng)
    return text


def _typos(text: str, rng: random.Random) -> str:
    """Drop, double, swap or mistype letters: one in a hundred to one in twelve, as writers differ."""
    share = rng.uniform(0.01, 0.08)
    out: list[str] = []
    for char in text:
        if not char.isalpha() or rng.random() > share:
            out.append(char)
            continue
        match rng.randrange(4):
            case 0:
                continue
            case 1:
                out.append(char * 2)
            case 2:
                out.insert(max(len(out) - 1, 0), char)
            case _:
                out.append(rng.choice(KEYS_BESIDE.get(char, char)))
    return "".join(out)


def _unpunctuated(text: str, rng: random.Random) -> str:  # noqa: ARG001 - one shape for all rewrites
    return text.rstrip(" .?!").replace(",", "")


def _lower(text: str, rng: random.Random) -> str:  # noqa: ARG001 - one shape for all rewrites
    return text.lower()


def _shouted(text: str, rng: random.Random) -> str:  # noqa: ARG001 - one shape for all rewrites
    return text.upper()


def _respaced(text: str, rng: random.Random) -> str:
    """Double, break or lose a space in ten."""
    return "".join(rng.choice(("  ", "\n", "")) if char == " " and rng.random() < 1 / 10 else char for char in text)


def _greeted(text: str, rng: random.Random) -> str:
    return rng.choice(GREETINGS) + text


def _closed(text: str, rng: random.Random) -> str:
    return text + rng.choice(CLOSINGS)


def _in_chat(text: str, rng: random.Random) -> str:
    small_talk, answer = rng.choice(SMALL_TALK)
    return CHAT.format(small_talk=small_talk, answer=answer, text=text)


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


REWRITES: dict[Rewrite, float] = {  # and how often each is drawn
    _typos: 3,
    _unpunctuated: 1,
    _lower: 1,
    _shouted: 0.5,
    _respaced: 0.5,
    _greeted: 1,
    _closed: 1,
    _in_chat: 2,
    marked_up: 4,
    advertised: 4,
    _words_dropped: 1,
    _middle_lost: 1,
}
