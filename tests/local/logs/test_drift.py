"""Drift from a decision log: the baseline it gives, and what Prometheus makes of the rules."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from local.cli import main
from local.logs.drift import take_baseline

PROMTOOL = Path(sys.executable).with_name("promtool")  # local/prepare.sh puts it there
COUNT = "semrouter_decision_confidence_count"
BUCKET = "semrouter_decision_confidence_bucket"
BOUNDS = ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "0.95", "0.99", "1.0"]


def line(winner: str, confidence: float) -> bytes:
    return json.dumps({"outcome": "routed", "winner": winner, "confidence": confidence}).encode() + b"\n"


EVEN = [line("reasoning", 0.97)] * 5 + [line("non-reasoning", 0.75)] * 5


def test_a_baseline_has_the_shares_of_winners_and_of_confidences() -> None:
    log = [*EVEN, line("reasoning", 0.8), line("reasoning", 1.0)]

    baseline = take_baseline(("log:1", each) for each in log)

    assert baseline.decisions == 12
    assert baseline.winners == {"reasoning": 7 / 12, "non-reasoning": 5 / 12}
    assert {upto: share * 12 for upto, share in baseline.confidences.items() if share} == {
        "0.8": 6,
        "0.99": 5,
        "1.0": 1,
    }


def test_lines_without_a_decision_are_skipped() -> None:
    log = [b'{"outcome": "off", "winner": null, "confidence": null}\n', b"{broken\n", b"\n", line("general", 0.9)]

    assert take_baseline(("log:1", each) for each in log).winners == {"general": 1.0}


def written(tmp_path: Path, log: list[bytes], *options: str) -> Path:
    (tmp_path / "decisions.jsonl").write_bytes(b"".join(log))
    arguments = ["drift-rules", str(tmp_path / "decisions.jsonl"), "--output", str(tmp_path / "drift.yaml"), *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return tmp_path / "drift.yaml"


def series(winner: str, bucket: str, per_minute: int) -> list[dict[str, str]]:
    """Return `per_minute` live decisions a minute for `winner`, each with a confidence in `bucket`."""
    steady, none = f"0+{per_minute}x90", "0x90"
    counted = [
        {"series": f'{BUCKET}{{winner="{winner}", le="{le}"}}', "values": none if float(le) < float(bucket) else steady}
        for le in BOUNDS
    ]
    return [*counted, {"series": f'{COUNT}{{winner="{winner}"}}', "values": steady}]


def evaluate(rules: Path, live: list[dict[str, str]], expected: dict[str, float]) -> None:
    """Fail unless Prometheus computes `expected`, PSI by kind to four digits, 75 minutes into `live`."""
    samples = [{"labels": f'{{of="{of}"}}', "value": value} for of, value in expected.items()]
    test = {
        "interval": "1m",
        "input_series": live,
        "promql_expr_test": [
            {"expr": "round(semrouter:drift:psi, 0.0001)", "eval_time": "75m", "exp_samples": samples}
        ],
    }
    file = rules.with_name("test.yaml")
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]}))
    result = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_same_mix_has_not_drifted(tmp_path: Path) -> None:
    live = [*series("reasoning", "0.99", 5), *series("non-reasoning", "0.8", 5)]

    evaluate(written(tmp_path, EVEN), live, {"winner": 0.0, "confidence": 0.0})


def test_another_mix_of_winners_shows_in_both(tmp_path: Path) -> None:
    live = [*series("reasoning", "0.99", 9), *series("non-reasoning", "0.8", 1)]

    # (0.9 - 0.5) ln(0.9 / 0.5) + (0.1 - 0.5) ln(0.1 / 0.5)
    evaluate(written(tmp_path, EVEN), live, {"winner": 0.8789, "confidence": 0.8789})


def test_less_confidence_in_the_same_winners_shows_in_confidence_alone(tmp_path: Path) -> None:
    live = [*series("reasoning", "0.7", 5), *series("non-reasoning", "0.8", 5)]

    # (0.5 - 0.001) ln(0.5 / 0.001), twice: 0.95..0.99 emptied, 0.6..0.7 filled
    evaluate(written(tmp_path, EVEN), live, {"winner": 0.0, "confidence": 6.2022})


def test_a_label_that_the_baseline_lacks_counts(tmp_path: Path) -> None:
    live = [*series("reasoning", "0.99", 5), *series("non-reasoning", "0.8", 4), *series("code", "0.8", 1)]

    # (0.4 - 0.5) ln(0.4 / 0.5) + (0.1 - 0.001) ln(0.1 / 0.001)
    evaluate(written(tmp_path, EVEN), live, {"winner": 0.4782, "confidence": 0.0})


def test_too_few_decisions_say_nothing(tmp_path: Path) -> None:
    live = [*series("reasoning", "0.99", 1)]

    evaluate(written(tmp_path, EVEN), live, {})


def test_the_window_can_be_chosen(tmp_path: Path) -> None:
    text = written(tmp_path, EVEN, "--window", "1d").read_text()

    assert "[1d]" in text
    assert "[1h]" not in text


@pytest.mark.parametrize(
    ("log", "options", "message"),
    [
        pytest.param([b"{}\n"], [], "expected lines with winner and confidence, got none", id="no decisions"),
        pytest.param(EVEN, ["--window", "1 hour"], "expected a duration such as 30m, 1h or 1d", id="no duration"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, log: list[bytes], options: list[str], message: str) -> None:
    (tmp_path / "log").write_bytes(b"".join(log))

    result = CliRunner().invoke(
        main, ["drift-rules", str(tmp_path / "log"), "--output", str(tmp_path / "drift.yaml"), *options]
    )

    assert result.exit_code != 0
    assert message in result.output
    assert not (tmp_path / "drift.yaml").exists()
