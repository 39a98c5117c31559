"""`semrouter train --outcomes` on a small random encoder, with gains that can be learnt and gains that cannot."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from export.bundle.install_commands import bundle as bundle_commands
from export.classifier.inference import classify, open_classifier
from export.outcomes.head import fit_head, fit_logistic, fit_ridge
from export.training.command import train_command
from tests.stand_ins.tiny_classifier import write_tiny_bundle

from .outcome_rows import row, write_rows

STARTS = {True: ("prove that", "derive the formula for"), False: ("who painted", "tell me about")}
THINGS = ("the boat", "a triangle", "seven coins", "the river", "two trains", "an old clock", "the garden", "a matrix")


def train(file: Path, base: Path, output: Path, *options: str) -> Result:
    arguments = ["--outcomes", file, "--base", base, "--output", output, *options]
    return CliRunner().invoke(train_command, [str(each) for each in arguments])


def spoken_rows(count: int, *, learnable: bool) -> list[dict[str, Any]]:
    """Return rows in which the strong model gains on prompts that begin one way, or by the toss of a coin."""
    generator = random.Random(0)
    rows = []
    for index in range(count):
        is_hard = generator.random() < 0.5
        text = f"{generator.choice(STARTS[is_hard])} {generator.choice(THINGS)}, {index}"
        gains = is_hard if learnable else generator.random() < 0.5
        rows.append(row(text, 1.0, float(not gains)))
    return rows


def test_what_gains_is_learnt_and_the_bundle_says_so_and_installs(
    built_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_rows(tmp_path / "rows.jsonl", spoken_rows(240, learnable=True))
    monkeypatch.setenv("SEMROUTER_REPOSITORY", str(tmp_path / "repository"))
    (tmp_path / "repository").mkdir()

    result = train(file, built_bundle, tmp_path / "new")
    installed = CliRunner().invoke(
        bundle_commands, ["install", str(tmp_path / "new" / "bundle"), "--name", "reasoning_classifier"]
    )

    classifier = open_classifier(tmp_path / "new" / "bundle")
    hard, easy = classify(classifier, ["prove that the river, 9", "who painted the river, 9"])
    figures = classifier.bundle.figures["outcomes"]
    assert result.exit_code == 0, result.output
    assert result.output.startswith("better than the classifier it started from, and than chance\n")
    assert figures["better"] is True
    assert figures["apgr"]["low"] > figures["apgr_before"]["value"]
    assert classifier.bundle.labels == ["non-reasoning", "reasoning"]
    assert hard[1] > 0.5 > easy[1]
    assert installed.exit_code == 0, installed.output


def test_what_cannot_be_learnt_is_not_called_better(built_bundle: Path, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", spoken_rows(240, learnable=False))

    result = train(file, built_bundle, tmp_path / "new")

    bundle = json.loads((tmp_path / "new" / "bundle" / "bundle.json").read_text())
    assert result.exit_code == 0, result.output
    assert result.output.startswith("NOT BETTER: on these 240 rows its gain over chance may be none\n")
    assert bundle["figures"]["outcomes"]["better"] is False


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        pytest.param(spoken_rows(20, learnable=True), [], "expected 50 rows or more", id="few rows"),
        pytest.param([row(f"a {n}", 1, 1) for n in range(60)], [], "gains nothing on these rows", id="no gain"),
        pytest.param([], [], "expected outcome rows, got an empty file", id="empty"),
        pytest.param(spoken_rows(60, learnable=True), ["--strong", "huge"], "has no answers of 'huge'", id="model"),
    ],
)
def test_outcomes_that_teach_nothing_are_refused_with_nothing_written(
    rows: list[dict[str, Any]], options: list[str], message: str, built_bundle: Path, tmp_path: Path
) -> None:
    result = train(write_rows(tmp_path / "rows.jsonl", rows), built_bundle, tmp_path / "new", *options)

    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "new").exists()


def test_a_graph_without_a_last_layer_to_replace_is_refused(tmp_path: Path) -> None:
    tiny = write_tiny_bundle(tmp_path / "tiny", labels=("non-reasoning", "reasoning"))

    result = train(write_rows(tmp_path / "rows.jsonl", spoken_rows(60, learnable=True)), tiny, tmp_path / "new")

    assert result.exit_code == 1
    assert "come from no last layer" in result.output


def test_outcomes_start_from_a_bundle(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", spoken_rows(60, learnable=True))

    hub = train(file, Path("some/hub-model"), tmp_path / "new")
    nothing = CliRunner().invoke(train_command, ["--output", str(tmp_path / "new")])

    assert (hub.exit_code, nothing.exit_code) == (2, 2)
    assert "--outcomes needs --base, the folder of a bundle" in hub.output
    assert "give --data or --outcomes" in nothing.output


def test_ridge_finds_a_planted_line_and_shrinks_noise() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 5))

    weights, bias, light = fit_ridge(features, features @ [1, 0, -2, 0, 0] + 3)
    noise, _, heavy = fit_ridge(features, generator.normal(size=400))

    assert weights == pytest.approx([1, 0, -2, 0, 0], abs=0.02)
    assert bias == pytest.approx(3, abs=0.02)
    assert heavy > light
    assert abs(noise).max() < 0.1


def test_scores_mean_what_they_say() -> None:
    generator = np.random.default_rng(0)
    predicted = generator.normal(size=5000)
    target = (generator.random(5000) < 1 / (1 + np.exp(-(2 * predicted - 1)))).astype(float)

    slope, start = fit_logistic(predicted, target)

    assert slope == pytest.approx(2, abs=0.2)
    assert start == pytest.approx(-1, abs=0.15)


def test_a_row_is_scored_by_what_learnt_from_the_others() -> None:
    generator = np.random.default_rng(0)
    features, gain = generator.normal(size=(100, 60)), generator.normal(size=100)

    fitted = fit_head(features, np.clip(gain, -1, 1), np.arange(100) % 5)

    assert abs(np.corrcoef(fitted.scores, gain)[0, 1]) < 0.35  # what had seen the row would be near 1
