import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from export.calibration.command import calibrate
from export.calibration.scores import read_decision_log
from export.classifier.inference import open_classifier
from export.errors import TrainingDataInvalid
from routing_policy.bundle import read_bundle
from tests.stand_ins.tiny_classifier import write_tiny_bundle

POLICY = "reasoning_model: big\ngeneral_model: small\nabstain_onprem_model: small\nthreshold_min_conf: 0.5\n"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(calibrate, [str(argument) for argument in arguments])


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "tiny", labels=("non-reasoning", "reasoning"))


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write prompts on which the tiny classifier is 95 % sure and right in three of four."""
    rows = [{"text": "hard", "label": "reasoning"}] * 30 + [{"text": "hard", "label": "non-reasoning"}] * 10
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [{"outcome": "routed", "scores": {"reasoning": n / 10, "non-reasoning": 1 - n / 10}} for n in range(10)]
    file = tmp_path / "decisions.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in [*lines, {"outcome": "off", "scores": None}]))
    return file


def test_a_temperature_makes_an_overconfident_bundle_honest(tiny: Path, data: Path, tmp_path: Path) -> None:
    result = run("temperature", tiny, "--data", data, "--output", tmp_path / "honest")

    before, after = read_bundle(tiny), open_classifier(tmp_path / "honest").bundle
    assert result.exit_code == 0, result.output
    assert after.temperature > before.temperature
    assert after.revision != before.revision
    assert after.files == before.files
    assert after.figures["calibration"]["error_after"]["value"] < 0.01
    assert after.figures["calibration"]["error_before"]["value"] > 0.15


def test_a_share_is_turned_into_a_patch_of_the_policy(policy_file: Path, log: Path) -> None:
    result = run("policy", policy_file, "--max-share", "0.3", "--log", log)

    assert result.exit_code == 0, result.output
    assert result.stderr == "cutoff 0.61 sends 30.0% (10.8% to 60.3%) to big\n"
    assert result.stdout == (
        f"--- {policy_file}\n+++ {policy_file}\n@@ -2,3 +2,4 @@\n"
        " general_model: small\n abstain_onprem_model: small\n threshold_min_conf: 0.5\n+reasoning_cutoff: 0.61\n"
    )
    assert policy_file.read_text() == POLICY


def test_precision_needs_labels_and_states_its_interval(tiny: Path, policy_file: Path, data: Path) -> None:
    reached = run("policy", policy_file, "--min-precision", "0.7", "--bundle", tiny, "--data", data)
    out_of_reach = run("policy", policy_file, "--min-precision", "0.9", "--bundle", tiny, "--data", data)

    assert reached.exit_code == 0, reached.output
    assert reached.stderr.endswith("to big, precision 75.0% (59.8% to 85.8%)\n")
    assert out_of_reach.exit_code == 1
    assert out_of_reach.stderr == (
        "Error: no cutoff between 0.01 and 0.99 reaches min_precision 0.9 on these 40 prompts\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param([], "give either --max-share or --min-precision", id="no goal"),
        pytest.param(["--max-share", "0.1", "--min-precision", "0.9"], "give either", id="two goals"),
        pytest.param(["--max-share", "0.1"], "give --bundle and --data, or, for --max-share, --log", id="no data"),
        pytest.param(["--min-precision", "0.9", "--log", "LOG"], "give --bundle and --data", id="precision of a log"),
        pytest.param(["--max-share", "0.1", "--target", "small"], "expected one of ['big'], got 'small'", id="target"),
        pytest.param(["--max-share", "1.1"], "1.1 is not in the range", id="share over one"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(options: list[str], message: str, policy_file: Path, log: Path) -> None:
    result = run("policy", policy_file, *(str(log) if option == "LOG" else option for option in options))

    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            '{"outcome": "off", "scores": null}', "expected decisions with scores, found none", id="no decision"
        ),
        pytest.param(
            '{"outcome": "routed", "scores": {"math": 1}}',
            r"decisions.jsonl:1: expected scores for \['reasoning'\]",
            id="labels",
        ),
        pytest.param('{"scores": [1]}', r"decisions.jsonl:1: expected a line of the decision log", id="not scores"),
        pytest.param('{"scores": {"reason', "expected decisions with scores, found none", id="cut short"),
    ],
)
def test_a_log_without_usable_scores_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "decisions.jsonl").write_text(content)

    with pytest.raises(TrainingDataInvalid, match=message):
        read_decision_log(tmp_path / "decisions.jsonl", {"reasoning"})


def test_a_rotated_log_is_read_whole_but_for_a_line_cut_short(tmp_path: Path) -> None:
    (tmp_path / "decisions.jsonl.1").write_text(
        '{"outcome": "routed", "scores": {"reasoning": 0.1}}\n{"scores": {"rea\n'
    )
    (tmp_path / "decisions.jsonl").write_text('{"outcome": "routed", "scores": {"reasoning": 0.2}}\n')

    judged = read_decision_log(tmp_path / "decisions.jsonl", {"reasoning"})

    assert [each.scores for each in judged] == [{"reasoning": 0.1}, {"reasoning": 0.2}]


def test_a_policy_the_bundle_cannot_serve_is_named(tmp_path: Path, policy_file: Path, data: Path) -> None:
    topics = write_tiny_bundle(tmp_path / "topics", labels=("general", "reasoning"))

    result = run("policy", policy_file, "--max-share", "0.1", "--bundle", topics, "--data", data)

    assert result.exit_code == 1
    assert "expected a classifier with exactly the labels non-reasoning and reasoning" in result.stderr
