"""Prompts in dresses to train on: hand-written ones and ones made up on the way, one to four at once."""

import random
from collections.abc import Sequence

from export.recipe.dresses import Dress

from .composed_dresses import composed, wishes

LAYERS = (1, 1, 1, 2, 2, 3, 4)  # how many dresses a prompt wears, each as likely
COMPOSED_SHARE = 0.5  # of the dresses


def dressed(texts: Sequence[str], dresses: Sequence[Dress], seed: int) -> list[str]:
    """Return each text in one to four dresses; the same seed gives the same ones."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, nothing secret
    sentences = wishes(dresses)
    return [_dress(text, dresses, sentences, rng) for text in texts]


def _dress(text: str, dresses: Sequence[Dress], sentences: Sequence[str], rng: random.Random) -> str:
    for dress in rng.sample(dresses, rng.choice(LAYERS)):
        text = composed(text, sentences, rng) if rng.random() < COMPOSED_SHARE else dress.around(text)
    return text
