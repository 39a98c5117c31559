import json
from pathlib import Path

import pytest

from export.errors import TrainingDataInvalid
from export.recipe.folds import FOLDS
from export.training.data import (
    LabelledPrompt,
    balanced_over_labels,
    hold_out,
    is_near_guide,
    read_prompts,
    source_weights,
    sources_by_licence,
    without_guide,
)

ROWS = [
    {"text": "How many primes are below 30?", "binary": "reasoning", "label": "math", "source": "own"},
    {"text": "Who wrote Faust?", "binary": "non-reasoning", "label": "general", "source": "own"},
]


def write_lines(directory: Path, *lines: str) -> Path:
    file = directory / "prompts.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_rows_carry_text_label_topic_and_source(tmp_path: Path) -> None:
    file = write_lines(tmp_path, json.dumps(ROWS[0]), "", json.dumps(ROWS[1]))

    prompts = read_prompts(file, "binary", topic_field="label")

    assert prompts[0] == LabelledPrompt(
        text="How many primes are below 30?", label="reasoning", topic="math", source="own"
    )
    assert [prompt.label for prompt in prompts] == ["reasoning", "non-reasoning"]


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        pytest.param([], None, "empty file", id="empty"),
        pytest.param([json.dumps(ROWS[0])] * 3, None, "got only ['reasoning']", id="one class only"),
        pytest.param([json.dumps(ROWS[0]), '{"text": "cut off'], 2, "expected a JSON object", id="cut-off line"),
        pytest.param([json.dumps(ROWS[0]), "", "[1, 2]"], 3, "expected a JSON object", id="not an object"),
        pytest.param(['{"binary": "reasoning"}'], 1, 'expected text in "text", got None', id="no text"),
        pytest.param(['{"text": "  ", "binary": "reasoning"}'], 1, 'expected text in "text"', id="blank text"),
        pytest.param(['{"text": "hi", "binary": 1}'], 1, 'expected text in "binary", got 1', id="label is a number"),
        pytest.param(
            [json.dumps(ROWS[0]), '{"text": "hi", "binary": "resoning"}'],
            2,
            "expected a label of ['non-reasoning', 'reasoning'], got 'resoning'",
            id="unknown label",
        ),
    ],
)
def test_a_file_that_cannot_be_trained_on_is_refused_by_name_and_line(
    tmp_path: Path, lines: list[str], line: int | None, reason: str
) -> None:
    file = write_lines(tmp_path, *lines)

    with pytest.raises(TrainingDataInvalid) as caught:
        read_prompts(file, "binary", labels=["non-reasoning", "reasoning"])

    assert (caught.value.file, caught.value.line) == (file, line)
    assert reason in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataInvalid, match=r"nowhere\.jsonl: No such file"):
        read_prompts(tmp_path / "nowhere.jsonl", "binary")


@pytest.mark.parametrize(
    "text",
    [
        "Prove that the square root of 2 is irrational. Show each step.",
        "Prove sqrt(2) is irrational",
        "prove sqrt(17) is irrational",
        "What is the capital of France?",
        "User: hi\nAssistant: Hello!\nUser: capital of france and its population",
        "¿Cuál es la capital de Francia?",
        "What is 2+2?",
        "what is two plus two",
        "Write a Python function that parses a CSV file and handles quoted fields",
    ],
)
def test_texts_near_the_guide_are_kept_out_of_training(text: str) -> None:
    prompt = LabelledPrompt(text=text, label="any", topic=None, source="any")

    assert is_near_guide(text)
    assert without_guide([prompt]) == []


@pytest.mark.parametrize(
    "text",
    [
        "Prove that the sum of two odd numbers is even.",
        "What is the capital of Norway?",
        "Where in France is Lyon?",
        "What is 12+35?",
        "Convert this CSV file to JSON in Python.",
    ],
)
def test_other_texts_stay_in_training(text: str) -> None:
    assert not is_near_guide(text)


def test_a_small_source_weighs_more_per_row_and_a_scaled_one_as_asked() -> None:
    sources = ["large"] * 16 + ["small"] * 4 + ["noisy"] * 4
    prompts = [LabelledPrompt(text="x", label="y", topic=None, source=source) for source in sources]

    weights = source_weights(prompts, {"noisy": 0.5})

    assert sum(weights) / len(weights) == pytest.approx(1)
    assert weights[16] == pytest.approx(2 * weights[0])
    assert weights[20] == pytest.approx(weights[16] / 2)


def test_balanced_labels_weigh_the_same_in_sum_and_keep_the_ratios_within_one() -> None:
    prompts = [LabelledPrompt(text="x", label=label, topic=None, source="s") for label in "aaab"]

    weights = balanced_over_labels(prompts, [1.0, 1.0, 2.0, 1.0])

    assert weights == pytest.approx([0.625, 0.625, 1.25, 2.5])


def test_sources_are_listed_under_their_licences() -> None:
    rows = [("MIT", "gsm8k"), ("CC-BY-SA-4.0", "xquad"), ("MIT", "aqua"), ("MIT", "gsm8k")]
    prompts = [LabelledPrompt(text="x", label="y", topic=None, source=source, licence=name) for name, source in rows]

    assert sources_by_licence(prompts) == {"CC-BY-SA-4.0": ["xquad"], "MIT": ["aqua", "gsm8k"]}


def test_no_source_is_in_two_folds() -> None:
    sources = [source for fold in FOLDS.values() for source in fold]

    assert len(sources) == len(set(sources)) == 38


def test_held_out_sources_leave_training_and_none_gives_more_than_its_share() -> None:
    sources = ["kept"] * 5 + ["held"] * 300 + ["rare"] * 2
    prompts = [LabelledPrompt(text="x", label="y", topic=None, source=source) for source in sources]

    kept, unseen = hold_out(prompts, {"held", "rare"})

    assert [prompt.source for prompt in kept] == ["kept"] * 5
    assert [prompt.source for prompt in unseen] == ["held"] * 250 + ["rare"] * 2
