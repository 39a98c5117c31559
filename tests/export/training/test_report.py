import json
import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from export.outcomes.eval_command import eval_command
from export.training.loop import duration
from routing_policy.bundle import read_bundle

from .training_runs import train, write_data


@pytest.fixture(scope="module")
def trained(modernbert: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Fine-tune on prompts with the labels the checkpoint has, two sources held out."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_data(folder / "prompts.jsonl", hard="reasoning", easy="non-reasoning")
    options = ("--epochs", 6, "--learning-rate", 0.003, "--hold-out", "river", "--hold-out", "clock", "--dev", data)
    return folder / "out", train(data, folder / "out", "--base", modernbert, *options)


def test_training_ends_with_figures_on_what_it_was_not_trained_on(trained: tuple[Path, Result]) -> None:
    output, result = trained

    assert result.exit_code == 0, result.output
    assert f"\n48 prompts of {output}/dev.jsonl, which also chose the epoch and the temperature:\n" in result.output
    assert f"\n16 prompts of {output}/unseen.jsonl:\n" in result.output
    for said in ("accuracy", "macro F1", "calibration error (ECE)", "TF-IDF and logistic regression", "keywords"):
        assert result.output.count(said) >= 2, said
    assert result.output.splitlines()[-1].startswith("bundle ")


def test_the_files_are_those_of_an_evaluation(trained: tuple[Path, Result]) -> None:
    output, _ = trained

    for name, rows in (("", 48), ("-unseen", 16)):
        content = json.loads((output / f"evaluation{name}.json").read_text())
        assert content["bundle"] == read_bundle(output / "bundle").revision
        assert content["rows"] == rows
        page = (output / f"report{name}.html").read_text()
        assert page.startswith("<!doctype html>")
        assert "Against the classifier it started from" in page
        assert "prove that" not in page
    assert stat.S_IMODE((output / "dev.jsonl").stat().st_mode) == 0o600


def test_before_and_after_are_told_with_the_interval_of_the_difference(trained: tuple[Path, Result]) -> None:
    output, result = trained

    changes = json.loads((output / "evaluation.json").read_text())["against_base"]

    accuracy = changes[0]
    assert [change["metric"] for change in changes] == ["accuracy", "macro_f1", "ece"]
    assert accuracy["before"]["value"] < 0.7 < accuracy["after"]["value"]
    assert accuracy["difference"]["value"] == pytest.approx(accuracy["after"]["value"] - accuracy["before"]["value"])
    assert 0 < accuracy["difference"]["low"] <= accuracy["difference"]["value"] <= accuracy["difference"]["high"]
    assert result.output.count("Against the classifier it started from") == 2


def test_evaluation_repeats_the_figures_from_the_files_left(trained: tuple[Path, Result], tmp_path: Path) -> None:
    output, _ = trained
    arguments = [str(output / "bundle"), "--data", str(output / "dev.jsonl"), "--json", str(tmp_path / "again.json")]

    CliRunner().invoke(eval_command, arguments)

    again, first = (json.loads(file.read_text()) for file in (tmp_path / "again.json", output / "evaluation.json"))
    assert again["overall"] == first["overall"]


def test_a_start_with_other_labels_has_no_before(modernbert: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "prompts.jsonl", hard="hard", easy="easy")

    result = train(data, tmp_path / "out", "--base", modernbert, "--epochs", 1)

    assert result.exit_code == 0, result.output
    assert f"{modernbert} chose among other labels so far, so there is no before and after" in result.output
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["against_base"] == []
    assert not (tmp_path / "out" / "evaluation-unseen.json").exists()


def test_stopping_early_is_said_in_words(modernbert: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "prompts.jsonl", hard="reasoning", easy="non-reasoning")

    result = train(data, tmp_path / "out", "--base", modernbert, "--epochs", 30, "--learning-rate", 0.1)

    assert result.exit_code == 0, result.output
    assert "stopped early: no lower dev loss in 2 epochs" in result.output
    assert "has the lowest dev loss and is kept" in result.output
    assert "epoch 30/30" not in result.output


def test_progress_tells_the_time_left(modernbert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.training.loop.REPORT_SECONDS", 0)
    data = write_data(tmp_path / "prompts.jsonl", hard="reasoning", easy="non-reasoning")

    result = train(data, tmp_path / "out", "--base", modernbert, "--epochs", 2)

    steps = re.findall(r"^  step (\d+)/\d+, loss [\d.]+, about \d+ s left$", result.output, re.MULTILINE)
    assert len(steps) > 2
    assert [*map(int, steps)] == [*range(1, len(steps) + 1)]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (89.4, "89 s"), (100, "2 min"), (3599, "1 h 00 min"), (7500, "2 h 05 min")]
)
def test_time_is_told_as_a_person_says_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said
