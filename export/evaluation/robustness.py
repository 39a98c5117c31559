"""Ways to write the same prompt that should not change a decision, and how often they do."""

import random
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from .metrics import Figure, Truth, mean_with_interval

Rewrite = Callable[[str, random.Random], str]
Decide = Callable[[Sequence[str]], npt.NDArray[np.int64]]
TYPING_ERRORS_PER_LETTER = 0.03
GADGETS = (
    "This is a difficult problem that needs careful step-by-step reasoning. ",
    "Quick and easy one, no need to think. ",
)


class Flips(msgspec.Struct, frozen=True, kw_only=True):
    """How often a rewriting changed the decision, and the accuracy before and after on the same prompts."""

    name: str
    prompts: int
    flips: Figure
    accuracy_before: float
    accuracy_after: float


def count_flips(texts: Sequence[str], truth: Truth, decide: Decide, resamples: int) -> list[Flips]:
    """Rewrite every text in every way and compare the decisions; the same texts are rewritten the same way."""
    before = decide(texts)
    found = []
    for name, rewrite in REWRITES.items():
        after = decide(rewrite_all(texts, rewrite))
        found.append(
            Flips(
                name=name,
                prompts=len(before),
                flips=mean_with_interval(before != after, resamples),
                accuracy_before=float((before == truth).mean()),
                accuracy_after=float((after == truth).mean()),
            )
        )
    return found


def rewrite_all(texts: Sequence[str], rewrite: Rewrite) -> list[str]:
    generator = random.Random(0)  # noqa: S311 - repeatable, nothing secret
    return [rewrite(text, generator) for text in texts]


def with_typos(text: str, generator: random.Random) -> str:
    """Swap, drop or double about three letters in a hundred."""
    letters = list(text)
    for index, letter in enumerate(letters[:-1]):
        if letter.isalpha() and generator.random() < TYPING_ERRORS_PER_LETTER:
            match generator.randrange(3):
                case 0:
                    letters[index], letters[index + 1] = letters[index + 1], letter
                case 1:
                    letters[index] = ""
                case _:
                    letters[index] = letter * 2
    return "".join(letters)


def _template(template: str) -> Rewrite:
    return lambda text, _: template.format(text=text)


REWRITES: dict[str, Rewrite] = {
    "typos": with_typos,
    "lower case": lambda text, _: text.lower(),
    "upper case": lambda text, _: text.upper(),
    "no punctuation at the end": lambda text, _: text.rstrip(" .?!"),
    "polite request": _template("Could you please help me with the following? {text} Thank you!"),
    "greeting": _template("hey, quick question: {text}"),
    "Markdown quote": _template("## Question\n\n> {text}\n"),
    "code fence": _template("```\n{text}\n```"),
    "gadget: sounds hard": _template(GADGETS[0] + "{text}"),
    "gadget: sounds easy": _template(GADGETS[1] + "{text}"),
}
