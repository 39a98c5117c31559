"""`semrouter calibrate policy --outcomes`, and cutoffs among crowded scores."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from export.calibration.command import calibrate
from tests.export.outcomes.outcome_rows import row, write_rows

POLICY = "reasoning_model: big\ngeneral_model: small\nabstain_onprem_model: small\nthreshold_min_conf: 0.5\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(calibrate, ["policy", *map(str, arguments)])


def decision(number: int, reasoning: float) -> dict[str, Any]:
    scores = {"non-reasoning": 1 - reasoning, "reasoning": reasoning}
    return {"outcome": "shadow", "request_id": f"r{number}", "scores": scores}


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    return Path("policy.yaml")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "log.jsonl", [decision(number, (number + 0.5) / 100) for number in range(100)])


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    """Write rows in which the upper third by score needs the big model, and nothing else does."""
    rows = [row(f"text {n}", 1.0, float(n < 67), request_id=f"r{n}") for n in range(100)]
    return write_rows(tmp_path / "rows.jsonl", rows)


def test_the_cutoff_that_sends_least_keeps_the_quality(policy: Path, log: Path, outcomes: Path) -> None:
    result = run(policy, "--outcomes", outcomes, "--log", log, "--keep-quality", "0.9")

    subprocess.run(["patch", "-p0"], input=result.stdout, text=True, check=True, capture_output=True)
    assert result.exit_code == 0, result.output
    assert "+reasoning_cutoff: 0.77" in policy.read_text() or "reasoning_cutoff: 0.77" in policy.read_text()
    assert "sends 23.0% (" in result.stderr
    assert "quality 90.0% (" in result.stderr
    assert "WARNING" not in result.stderr


def test_the_cutoff_states_how_sure_it_is(policy: Path, log: Path, outcomes: Path) -> None:
    result = run(policy, "--outcomes", outcomes, "--log", log, "--keep-quality", "0.9")

    first = result.stderr.split(" sends")[0]
    low, high = (float(each) for each in first.split("(")[1].rstrip(")").split(" to "))
    assert 0.6 < low < 0.77 < high < 0.95


def test_a_budget_is_spent_and_not_exceeded(policy: Path, log: Path, outcomes: Path) -> None:
    result = run(policy, "--outcomes", outcomes, "--log", log, "--budget", "0.4")

    assert result.exit_code == 0, result.output
    assert "sends 40.0% (" in result.stderr
    assert "40.0% (40.0% to 40.0%)" not in result.stderr
    assert "of the extra calls" in result.stderr


def test_a_budget_counts_tokens_where_rows_have_them(policy: Path, log: Path, tmp_path: Path) -> None:
    rows = [row(f"text {n}", 1.0, float(n < 67), request_id=f"r{n}") for n in range(100)]
    for number, each in enumerate(rows):
        each["models"]["big"]["tokens"] = 1010 if number >= 90 else 110
        each["models"]["small"]["tokens"] = 10
    file = write_rows(tmp_path / "tokens.jsonl", rows)

    result = run(policy, "--outcomes", file, "--log", log, "--budget", "0.4")

    assert "sends 7.0% (" in result.stderr
    assert "of the extra tokens of the answers" in result.stderr


def test_a_cutoff_no_better_than_random_is_said_loudly(policy: Path, log: Path, tmp_path: Path) -> None:
    rows = [row(f"text {n}", 1.0, float(n % 2), request_id=f"r{n}") for n in range(100)]

    result = run(policy, "--outcomes", write_rows(tmp_path / "rows.jsonl", rows), "--log", log, "--budget", "0.5")

    assert "WARNING: that is not shown to be better than sending as many at random" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--outcomes", "ROWS", "--log", "LOG"], "give either --keep-quality or --budget", id="no goal"),
        pytest.param(["--outcomes", "ROWS", "--budget", "0.4"], "give either --bundle or --log", id="no scores"),
        pytest.param(["--budget", "0.4", "--log", "LOG"], "need --outcomes", id="no outcomes"),
        pytest.param(["--outcomes", "ROWS", "--log", "LOG", "--max-share", "0.1"], "--outcomes goes with", id="share"),
        pytest.param(
            ["--outcomes", "ROWS", "--log", "LOG", "--budget", "0.4", "--strong", "huge"], "'huge'", id="not a model"
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: list[str], message: str, policy: Path, log: Path, outcomes: Path
) -> None:
    files = {"ROWS": str(outcomes), "LOG": str(log)}

    result = run(policy, *(files.get(each, each) for each in options))

    assert result.exit_code in {1, 2}
    assert message in result.stderr


@pytest.mark.parametrize(
    "scores",
    [
        pytest.param([0.1] * 60 + [0.99 + n / 10_000 for n in range(40)], id="above the last hundredth"),
        pytest.param([0.501 + n / 100_000 for n in range(100)], id="within one hundredth"),
        pytest.param([n / 1e5 for n in range(1, 101)], id="below the first hundredth"),
    ],
)
def test_a_share_is_met_closely_where_scores_are_crowded(scores: list[float], policy: Path, tmp_path: Path) -> None:
    log = write_rows(tmp_path / "log.jsonl", [decision(n, score) for n, score in enumerate(scores)])

    result = run(policy, "--max-share", "0.3", "--log", log)

    assert result.exit_code == 0, result.output
    sent = float(result.stderr.split(" sends ")[1].split("%")[0])
    assert 27 <= sent <= 30
    assert json.dumps("reasoning_cutoff")[1:-1] in result.stdout
