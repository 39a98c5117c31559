"""Which prompts are worth a label: the doubtful ones, and some of every kind that the classifier is surer of."""

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from .log_prompts import LoggedPrompt

BANDS = 10  # of confidence, for each label decided on
SHAPE_WORDS = 5
SHAPE_CHARACTERS = 40  # where a language puts no space between words
_WORD = re.compile(r"\w+")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How many prompts, which share of them by doubt, and how many at most that begin alike."""

    count: int = 500
    doubtful_share: float = 0.5
    per_shape: int = 5
    seed: int = 1


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    prompt: LoggedPrompt
    by: Literal["doubt", "chance", "sample"]


def choose(prompts: Sequence[LoggedPrompt], wanted: Wanted) -> list[Chosen]:
    """Take the least sure prompts, then others at random, evenly over bands of confidence; the same seed, the same."""
    shapes: Counter[str] = Counter()
    doubtful = _limited(sorted(prompts, key=_confidence), shapes, wanted.per_shape)
    first = [*itertools.islice(doubtful, round(wanted.count * wanted.doubtful_share))]
    taken = {prompt.text for prompt in first}
    rest = [prompt for prompt in prompts if prompt.text not in taken]
    others = _limited(_dealt(rest, wanted.seed), shapes, wanted.per_shape)
    second = itertools.islice(others, wanted.count - len(first))
    return [
        *(Chosen(prompt=prompt, by="doubt") for prompt in first),
        *(Chosen(prompt=prompt, by="chance") for prompt in second),
    ]


def sample(prompts: Sequence[LoggedPrompt], count: int, seed: int) -> list[Chosen]:
    """Draw prompts as the traffic is, to measure on: what pays to learn from is no fair picture of it."""
    generator = random.Random(seed)  # noqa: S311 - repeatable, nothing secret
    drawn = generator.sample(prompts, min(count, len(prompts)))
    return [Chosen(prompt=prompt, by="sample") for prompt in drawn]


def text_shape(text: str) -> str:
    """Return how a text begins, whatever its numbers: prompts that one program makes begin alike."""
    words = itertools.islice(_WORD.findall(text[:1000]), SHAPE_WORDS)
    return re.sub(r"\d+", "0", " ".join(words).casefold())[:SHAPE_CHARACTERS]


def _limited(prompts: Iterable[LoggedPrompt], shapes: Counter[str], most: int) -> Iterator[LoggedPrompt]:
    """Yield prompts, and count them in `shapes`, as long as theirs has not occurred `most` times."""
    for prompt in prompts:
        shape = text_shape(prompt.text)
        if shapes[shape] < most:
            shapes[shape] += 1
            yield prompt


def _dealt(prompts: Sequence[LoggedPrompt], seed: int) -> Iterator[LoggedPrompt]:
    """Yield all prompts, one of each band in turn, in random order within a band."""
    bands: dict[tuple[str, int], list[LoggedPrompt]] = {}
    for prompt in prompts:
        bands.setdefault((prompt.decided, int(prompt.confidence * BANDS)), []).append(prompt)
    generator = random.Random(seed)  # noqa: S311 - repeatable, nothing secret
    shuffled = [generator.sample(band, len(band)) for _, band in sorted(bands.items())]
    for turn in itertools.zip_longest(*shuffled):
        yield from (prompt for prompt in turn if prompt is not None)


def _confidence(prompt: LoggedPrompt) -> float:
    return prompt.confidence
