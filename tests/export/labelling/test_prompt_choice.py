from collections import Counter

import pytest

from export.labelling.log_prompts import LoggedPrompt
from export.labelling.prompt_choice import Wanted, choose, sample, text_shape


def prompt(text: str, reasoning: float) -> LoggedPrompt:
    return LoggedPrompt(text=text, scores={"non-reasoning": 1 - reasoning, "reasoning": reasoning})


# 90 of 100 prompts are surely easy; the others lie between.
TRAFFIC = [
    *(prompt(f"{chr(0x4E00 + number)} easy", 0.03) for number in range(90)),
    *(prompt(f"{chr(0x5E00 + number)} hard", 0.5 + number / 20) for number in range(10)),
]


def test_a_share_goes_to_the_least_sure() -> None:
    chosen = choose(TRAFFIC, Wanted(count=8, doubtful_share=0.5))

    assert [round(each.prompt.confidence, 2) for each in chosen if each.by == "doubt"] == [0.5, 0.55, 0.6, 0.65]
    assert sum(each.by == "chance" for each in chosen) == 4


def test_the_rest_is_dealt_evenly_over_bands_of_confidence() -> None:
    chosen = choose(TRAFFIC, Wanted(count=6, doubtful_share=0))

    bands = Counter((each.prompt.decided, int(each.prompt.confidence * 10)) for each in chosen)
    assert bands == {
        ("non-reasoning", 5): 1,
        ("non-reasoning", 9): 1,
        ("reasoning", 5): 1,
        ("reasoning", 6): 1,
        ("reasoning", 7): 1,
        ("reasoning", 8): 1,
    }


def test_the_same_seed_chooses_the_same() -> None:
    first, again, other = (choose(TRAFFIC, Wanted(count=20, seed=seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_prompts_that_one_program_makes_do_not_crowd_out_the_others() -> None:
    tickets = [prompt(f"Summarise ticket {number} for the manager: text {number}", 0.5) for number in range(50)]

    chosen = choose([*tickets, *TRAFFIC], Wanted(count=20, per_shape=3))

    assert len(chosen) == 20
    assert sum(each.prompt in tickets for each in chosen) == 3


def test_fewer_prompts_than_wanted_are_all_chosen_once() -> None:
    chosen = choose(TRAFFIC, Wanted(count=1000))

    assert sorted(each.prompt.text for each in chosen) == sorted(each.text for each in TRAFFIC)


def test_a_sample_has_the_shares_of_the_traffic() -> None:
    drawn = sample(TRAFFIC * 10, 500, seed=3)

    assert 0.86 < sum("easy" in each.prompt.text for each in drawn) / 500 < 0.94
    assert drawn == sample(TRAFFIC * 10, 500, seed=3)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        pytest.param("Summarise ticket 4711, please, now and here", "summarise ticket 0 please now", id="five words"),
        pytest.param("2024-01-31 error", "0 0 0 error", id="numbers"),
        pytest.param(
            "请证明任意两个连续整数的乘积是偶数" * 5, ("请证明任意两个连续整数的乘积是偶数" * 5)[:40], id="no spaces"
        ),
        pytest.param("???", "", id="no word"),
    ],
)
def test_a_shape_is_how_a_text_begins(text: str, shape: str) -> None:
    assert text_shape(text) == shape
