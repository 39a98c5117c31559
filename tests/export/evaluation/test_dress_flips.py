from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from export.evaluation.dress_flips import count_dress_flips, easy_label
from export.recipe.dresses import HELD_OUT_DRESSES, read_dresses

HARD = ["Prove it.", "Derive it.", "How many ways are there?"]
EASY = ["Hello there", "Who painted it"]


def deaf_to_dress(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    return np.array([not any(hard in text for hard in HARD) for text in texts])


def judging_by_length(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    return np.array([len(text) < 12 for text in texts])


@pytest.mark.parametrize(
    ("labels", "easy"), [(["reasoning", "non-reasoning"], 1), (["math", "code", "general"], 2), (["a", "b"], 0)]
)
def test_the_easy_label_is_known_by_name(labels: list[str], easy: int) -> None:
    assert easy_label(labels) == easy


def test_a_judge_that_sees_through_every_dress_loses_and_raises_nothing() -> None:
    everything, *kinds = count_dress_flips([*HARD, *EASY], deaf_to_dress, each=2)

    assert everything.kind == "all"
    assert everything.dresses == len(read_dresses(HELD_OUT_DRESSES)) == sum(each.dresses for each in kinds)
    assert (everything.lost.value, everything.raised.value) == (0.0, 0.0)
    assert [each.kind for each in kinds] == sorted(each.kind for each in kinds)


def test_a_judge_by_length_raises_every_easy_prompt() -> None:
    everything, *_ = count_dress_flips(["short", "a rather long prompt"], judging_by_length, each=5)

    assert (everything.lost.value, everything.most_lost) == (0.0, 0.0)
    assert everything.raised.value > 0.95
    assert everything.most_raised == 1.0


@pytest.mark.parametrize(("texts", "each"), [(HARD, 2), (EASY, 2), ([*HARD, *EASY], 0)], ids=["hard", "easy", "none"])
def test_without_both_sides_there_is_nothing_to_count(texts: list[str], each: int) -> None:
    assert count_dress_flips(texts, deaf_to_dress, each) == []
