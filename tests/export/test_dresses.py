import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from export.errors import TrainingDataInvalid
from export.recipe.dresses import HELD_OUT_DRESSES, PLACE, TRAINING_DRESSES, read_dresses
from export.training.composed_dresses import made_up_wish, wishes
from export.training.dressing import dressed

TEXTS = [f"Is {number} a prime number, and why? {{not a place}}" for number in range(200)]


def test_every_dress_has_one_place_for_the_prompt_and_keeps_it_whole() -> None:
    for file in (TRAINING_DRESSES, HELD_OUT_DRESSES):
        for dress in read_dresses(file):
            assert TEXTS[0] in dress.around(TEXTS[0])
            assert PLACE not in dress.around(TEXTS[0])


def test_training_never_sees_a_dress_that_flips_are_counted_with() -> None:
    training, held = (read_dresses(file) for file in (TRAINING_DRESSES, HELD_OUT_DRESSES))

    assert not {dress.template for dress in training} & {dress.template for dress in held}
    assert {dress.kind for dress in held} - {dress.kind for dress in training}


def test_a_prompt_wears_one_to_four_dresses_and_the_same_seed_the_same_ones() -> None:
    first, again, other = (dressed(TEXTS, read_dresses(TRAINING_DRESSES), seed) for seed in (1, 1, 2))

    assert first == again != other
    for text, worn in zip(TEXTS, first, strict=True):
        assert text in worn
        assert text != worn


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param({"template": "no place"}, r"dresses.jsonl:2: .*\{text\} once", id="no place"),
        pytest.param({"template": "{text} {text}"}, r"dresses.jsonl:2: .*\{text\} once", id="two places"),
        pytest.param({"template": "{text}", "place": "beside"}, "dresses.jsonl:2: Invalid enum", id="unknown place"),
    ],
)
def test_a_dress_that_cannot_be_worn_is_named(row: dict[str, str], message: str, tmp_path: Path) -> None:
    plain = {"template": "{text}", "kind": "none", "lang": "en", "place": "around"}
    file = tmp_path / "dresses.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in (plain, plain | row)))

    with pytest.raises(TrainingDataInvalid, match=message):
        read_dresses(file)


def test_lists_of_wishes_are_made_of_dresses_in_one_line() -> None:
    sentences = wishes(read_dresses(TRAINING_DRESSES))

    assert len(sentences) > 100
    assert not [sentence for sentence in sentences if "\n" in sentence or PLACE in sentence]


def test_made_up_wishes_are_no_held_out_dresses() -> None:
    rng = random.Random(0)
    held = {words(dress.template.replace(PLACE, "")) for dress in read_dresses(HELD_OUT_DRESSES)}

    made_up = {words(made_up_wish(rng)) for _ in range(50_000)}

    assert len(made_up) > 10_000
    assert not made_up & held


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_no_two_dresses_are_alike() -> None:
    templates = [
        dress.template.strip().lower() for file in (TRAINING_DRESSES, HELD_OUT_DRESSES) for dress in read_dresses(file)
    ]

    assert [template for template, count in Counter(templates).items() if count > 1] == []
