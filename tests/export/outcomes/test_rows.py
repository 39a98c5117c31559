import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from export.errors import TrainingDataInvalid
from export.outcomes.costs import read_costs, read_prices
from export.outcomes.rows import Wanted, fold_numbers, group_by_pair, read_outcomes

from .outcome_rows import row, write_rows

FLAT = {
    "text": "a",
    "source": "public",
    "task": "t",
    "strong_model": "big",
    "weak_model": "small",
    "strong_score": 1.0,
    "weak_score": 0.25,
    "license": "MIT",
}


def answers(**qualities: float) -> dict[str, Any]:
    return {"text": "a", "models": {name: {"quality": quality} for name, quality in qualities.items()}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "rows.jsonl: expected outcome rows, got an empty file", id="empty"),
        pytest.param("{", "rows.jsonl:1: expected an outcome row", id="no JSON"),
        pytest.param("[1]", "rows.jsonl:1: expected an outcome row: Expected object, got array", id="no object"),
        pytest.param(json.dumps({"models": {}}), "rows.jsonl:1: .*missing required field text", id="no text"),
        pytest.param(json.dumps({**row("a", 1, 0), "text": " "}), r"rows.jsonl:1: .*\$.text", id="blank text"),
        pytest.param(json.dumps(answers(big=1)), r"rows.jsonl:1: expected the answers of two models", id="one model"),
        pytest.param(json.dumps(row("a", 1.2, 0)), r"rows.jsonl:1: .*<= 1.*\$.models", id="quality over one"),
        pytest.param(json.dumps(row("a", 1, -0.1)), r"rows.jsonl:1: .*>= 0", id="quality below zero"),
        pytest.param(json.dumps({**FLAT, "weak_score": 3}), r"rows.jsonl:1: .*<= 1", id="score over one"),
        pytest.param(
            "\n".join(json.dumps(row(text, 1, 0, request_id="r")) for text in "ab"),
            "rows.jsonl:2: request_id 'r' stands on line 1 already",
            id="duplicate id",
        ),
        pytest.param(
            "\n".join(json.dumps(each) for each in (answers(big=1, small=0), answers(big=1, other=0))),
            "name two of them by --strong and --weak",
            id="three models",
        ),
        pytest.param(json.dumps({**FLAT, "in_our_training": True}), "expected outcomes to measure on", id="none left"),
    ],
)
def test_what_is_no_outcome_is_named_by_file_line_and_reason(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(content)

    with pytest.raises(TrainingDataInvalid, match=message):
        read_outcomes(tmp_path / "rows.jsonl", Wanted())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        pytest.param(Wanted(strong="huge"), "has no answers of 'huge' .--strong.; it has those of", id="strong"),
        pytest.param(Wanted(weak="huge"), "has no answers of 'huge' .--weak.", id="weak"),
        pytest.param(Wanted(strong="big", weak="other"), "rows.jsonl:1: .*lacks other", id="a row lacks one"),
        pytest.param(Wanted(sources=("log",)), r"its sources are \['unnamed'\]", id="source"),
    ],
)
def test_models_and_sources_that_the_file_lacks_are_named(wanted: Wanted, message: str, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", [answers(big=1, small=0), answers(big=1, small=0, other=0)])

    with pytest.raises(TrainingDataInvalid, match=message):
        read_outcomes(file, wanted)


def test_of_two_models_the_better_one_is_the_stronger_and_that_is_said(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", [row("a", 0.2, 0.9), row("b", 0.1, 0.3)])

    guessed, named = read_outcomes(file, Wanted()), read_outcomes(file, Wanted(strong="big"))

    assert [pair.gain for pair in guessed.pairs] == pytest.approx([0.7, 0.2])
    assert "small is taken for the stronger model" in str(guessed.note)
    assert [pair.gain for pair in named.pairs] == pytest.approx([-0.7, -0.2])
    assert named.note is None


def test_public_files_with_two_models_a_row_are_read_gzipped_without_what_was_trained_on(tmp_path: Path) -> None:
    rows = [FLAT, {**FLAT, "weak_model": "tiny"}, {**FLAT, "in_our_training": True}, {**FLAT, "source": "other"}]
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))

    outcomes = read_outcomes(file, Wanted())

    assert [*group_by_pair(outcomes.pairs)] == ["public: big over small", "public: big over tiny", "other"]
    assert outcomes.left_out == 1
    assert outcomes.pairs[0].gain == 0.75
    assert len(read_outcomes(file, Wanted(weak="tiny")).pairs) == 1


def test_no_text_stands_in_two_folds() -> None:
    folds = fold_numbers(["the same text", "the same  text", "another", "the same text"])

    assert folds[0] == folds[1] == folds[3]


def costs_of(tmp_path: Path, rows: list[dict[str, Any]], prices: str | None = None) -> Any:
    file = write_rows(tmp_path / "rows.jsonl", rows)
    if prices is not None:
        (tmp_path / "prices.yaml").write_text(prices)
    read = read_prices(tmp_path / "prices.yaml" if prices is not None else None)
    return read_costs(file, read_outcomes(file, Wanted(strong="big")).pairs, read)


def priced(big: dict[str, float], small: dict[str, float]) -> dict[str, Any]:
    return {"text": "a", "models": {"big": {"quality": 1, **big}, "small": {"quality": 0, **small}}}


def test_cost_is_what_rows_say_or_prices_for_tokens_or_tokens(tmp_path: Path) -> None:
    tokens = [priced({"tokens": 2000, "prompt_tokens": 1000}, {"tokens": 100})]
    prices = "big: {prompt: 1, completion: 10}\nsmall: {prompt: 0, completion: 1}\n"

    said = costs_of(tmp_path, [priced({"cost": 0.5, "tokens": 9}, {"cost": 0.1})])
    counted, by_price = costs_of(tmp_path, tokens), costs_of(tmp_path, tokens, prices)

    assert (said.unit, said.strong[0], said.weak[0]) == ("cost", 0.5, 0.1)
    assert (counted.unit, counted.strong[0], counted.weak[0]) == ("tokens of the answers", 2000, 100)
    assert (by_price.strong[0], by_price.weak[0]) == pytest.approx((0.021, 0.0001))
    assert costs_of(tmp_path, [priced({}, {})]) is None


@pytest.mark.parametrize(
    ("rows", "prices", "message"),
    [
        pytest.param([priced({"tokens": 1}, {})], None, "rows.jsonl:1: .*'small'.*expected tokens", id="tokens"),
        pytest.param([priced({"cost": 1}, {})], None, "rows.jsonl:1: .*'small'.*expected cost", id="cost"),
        pytest.param([priced({}, {})], "big: {prompt: 1, completion: 1}", "'big'.*expected tokens", id="for prices"),
        pytest.param(
            [priced({"tokens": 1}, {"tokens": 1})],
            "big: {prompt: 1, completion: 1}",
            "expected a price for 'small'",
            id="price",
        ),
        pytest.param([priced({}, {})], "big: 3", "prices.yaml: Expected object", id="prices"),
    ],
)
def test_a_cost_that_is_missing_is_named(
    rows: list[dict[str, Any]], prices: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainingDataInvalid, match=message):
        costs_of(tmp_path, rows, prices)
