import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from export.labelling.rescore import rescore_command
from routing_policy.bundle import read_bundle
from tests.stand_ins.tiny_classifier import write_tiny_bundle

SCORES = {"non-reasoning": 0.7, "reasoning": 0.3}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "tiny", labels=("non-reasoning", "reasoning"))


def write_log(file: Path, *lines: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def rescore(*arguments: str | Path) -> Result:
    return CliRunner().invoke(rescore_command, [str(argument) for argument in arguments])


def test_every_text_gets_the_scores_of_the_bundle_and_is_left_out(tiny: Path, tmp_path: Path) -> None:
    common = {"outcome": "shadow", "target": "small", "scores": SCORES}
    write_log(tmp_path / "log.jsonl.1", {**common, "text": "hard"}, {**common, "text": "easy easy"})
    log = write_log(tmp_path / "log.jsonl", {**common, "text": None}, {"outcome": "off", "scores": None, "target": "x"})
    with log.open("a") as file:
        file.write('{"outcome": "sha')

    result = rescore(log, "--bundle", tiny, "--output", tmp_path / "new.jsonl")

    assert result.exit_code == 0, result.output
    revision = read_bundle(tiny).revision
    assert result.stdout == f"2 lines rescored by {revision}, 2 without text, in {tmp_path / 'new.jsonl'}\n"
    lines = [json.loads(line) for line in (tmp_path / "new.jsonl").read_text().splitlines()]
    assert {field: value for field, value in lines[0].items() if value is not None} == {
        "outcome": "shadow",
        "target": "small",
        "scores": {"non-reasoning": pytest.approx(0.0474, abs=1e-4), "reasoning": pytest.approx(0.9526, abs=1e-4)},
        "winner": "reasoning",
        "confidence": pytest.approx(0.9526, abs=1e-4),
        "classifier": {"name": "rescored", "version": 0, "revision": revision},
    }
    assert [line["scores"] and line["winner"] for line in lines] == ["reasoning", "non-reasoning", None, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            {"outcome": "off", "scores": SCORES},
            "SEMROUTER_DECISION_LOG_TEXT=true makes the proxy log it",
            id="no text",
        ),
        pytest.param([1], "log.jsonl:1: expected a line of the decision log", id="another file"),
    ],
)
def test_a_log_that_cannot_be_rescored_leaves_nothing(content: Any, message: str, tiny: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", content)

    result = rescore(log, "--bundle", tiny, "--output", tmp_path / "new.jsonl")

    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "new.jsonl").exists()


def test_an_output_that_exists_is_kept(tiny: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", {"text": "hard"})

    result = rescore(log, "--bundle", tiny, "--output", log)

    assert result.output == f"Error: {log}: File exists\n"
    assert json.loads(log.read_text()) == {"text": "hard"}


def test_a_missing_log_is_one_line(tiny: Path, tmp_path: Path) -> None:
    result = rescore(tmp_path / "none.jsonl", "--bundle", tiny, "--output", tmp_path / "new.jsonl")

    assert result.output == f"Error: {tmp_path / 'none.jsonl'}: No such file or directory\n"
    assert not (tmp_path / "new.jsonl").exists()
