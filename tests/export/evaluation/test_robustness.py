import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from export.evaluation.robustness import REWRITES, count_flips, rewrite_all, with_typos

TEXTS = ["What is {this}?", "Prove that 2 + 2 = 4.", "Schöne Grüße"]


def shouts(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.array([int(text.isupper()) for text in texts])


@pytest.mark.parametrize("name", REWRITES)
def test_every_rewriting_is_repeatable_and_keeps_something_to_judge(name: str) -> None:
    first, second = (rewrite_all(TEXTS, REWRITES[name]) for _ in range(2))

    assert first == second
    assert all(text.strip() for text in first)


def test_typos_change_letters_and_little_else() -> None:
    text = "the quick brown fox jumps over the lazy dog 1234567890 " * 20

    changed = with_typos(text, random.Random(0))

    assert changed != text
    assert abs(len(changed) - len(text)) < 0.05 * len(text)
    assert changed.count("1234567890") == 20


def test_flips_and_accuracy_are_counted_per_rewriting() -> None:
    flips = {each.name: each for each in count_flips(TEXTS, np.array([0, 0, 1]), shouts, resamples=20)}

    assert flips["upper case"].flips.value == 1.0
    assert flips["upper case"].accuracy_before == pytest.approx(2 / 3)
    assert flips["upper case"].accuracy_after == pytest.approx(1 / 3)
    assert flips["lower case"].flips.value == 0.0
    assert flips["lower case"].prompts == 3
