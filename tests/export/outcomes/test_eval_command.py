"""`semrouter eval --outcomes` with a classifier whose scores are known."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from export.outcomes.eval_command import eval_command
from tests.stand_ins.tiny_classifier import write_tiny_bundle

from .outcome_rows import planted_rows, row, write_rows

POLICY = "reasoning_model: big\ngeneral_model: small\nabstain_onprem_model: small\nthreshold_min_conf: 0.5\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(eval_command, [*map(str, arguments), "--resamples", "100"])


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "tiny", labels=("non-reasoning", "reasoning"))


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", planted_rows(300))


def report(tmp_path: Path, *arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    return found


def test_a_planted_gain_is_found_and_stands_between_chance_and_the_oracle(
    tiny: Path, planted: Path, tmp_path: Path
) -> None:
    group = report(tmp_path, tiny, "--outcomes", planted)["groups"][0]

    figures = {each["name"]: each for each in group["rankings"]}
    classifier, *_ = group["rankings"]
    assert classifier["apgr"]["low"] > 0.6
    assert figures["random"]["apgr"]["value"] == pytest.approx(0.5)
    assert figures["random"]["behind"]["low"] > 0
    assert figures["oracle"]["behind"]["high"] < 0
    assert classifier["calls_for_half"]["value"] < classifier["calls_for_most"]["value"] < 0.6
    assert group["at_cutoff"]["share"]["value"] == 0.5
    assert group["at_cutoff"]["better_by"]["low"] > 0.1
    assert figures["TF-IDF and least squares, cross-validated"]["apgr"]["low"] > 0.55


def test_the_policy_decides_what_is_sent(tiny: Path, planted: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY + "reasoning_cutoff: 0.97\n")

    group = report(tmp_path, tiny, "--outcomes", planted, "--policy", tmp_path / "policy.yaml")["groups"][0]

    assert group["at_cutoff"]["share"]["value"] == 0
    assert group["at_cutoff"]["better_by"]["value"] == 0


def test_a_decision_log_is_joined_by_request(tiny: Path, planted: Path, tmp_path: Path) -> None:
    lines = [
        {
            "outcome": "shadow",
            "request_id": each["request_id"],
            "scores": {"non-reasoning": 1 - hard, "reasoning": hard},
        }
        for each in planted_rows(300)
        for hard in [0.9 if each["text"].startswith("hard") else 0.1]
    ]
    log = write_rows(tmp_path / "decisions.jsonl", lines)

    by_log = report(tmp_path, "--outcomes", planted, "--log", log)["groups"][0]["rankings"][0]
    by_bundle = report(tmp_path, tiny, "--outcomes", planted)["groups"][0]["rankings"][0]

    assert by_log["name"] == "decisions of decisions.jsonl"
    assert by_log["apgr"] == by_bundle["apgr"]


def test_each_source_is_measured_for_itself_and_the_page_draws_it(tiny: Path, tmp_path: Path) -> None:
    sources = [{**each, "source": "one" if index % 4 < 2 else "two"} for index, each in enumerate(planted_rows(200))]
    file = write_rows(tmp_path / "rows.jsonl", sources)

    result = run(tiny, "--outcomes", file, "--html", tmp_path / "report.html")

    page = (tmp_path / "report.html").read_text()
    assert result.exit_code == 0, result.output
    assert "all, 200 rows: better than chance: APGR 0." in result.output
    assert "one, 100 rows" in result.output
    assert page.count("<svg") == 3
    assert "<script" not in page


def test_cost_has_a_curve_of_its_own(tiny: Path, tmp_path: Path) -> None:
    rows = planted_rows(100)
    for each in rows:
        each["models"]["big"]["tokens"] = 1000 if each["text"].startswith("hard") else 10
        each["models"]["small"]["tokens"] = 10
    file = write_rows(tmp_path / "rows.jsonl", rows)

    found = report(tmp_path, tiny, "--outcomes", file, "--html", tmp_path / "page.html")

    classifier = found["groups"][0]["rankings"][0]
    assert found["cost_unit"] == "tokens of the answers"
    assert classifier["apgr_by_cost"]["value"] < classifier["apgr"]["value"]
    assert found["groups"][0]["at_cutoff"]["cost_share"]["value"] > 0.95
    assert (tmp_path / "page.html").read_text().count("<svg") == 2


def test_a_stronger_model_that_is_no_better_is_said_loudly(tiny: Path, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", [row(f"hard {n}", float(n % 2), float(n % 2)) for n in range(60)])

    result = run(tiny, "--outcomes", file, "--strong", "big")

    assert result.exit_code == 0, result.output
    assert "WARNING: unnamed: the stronger model is not shown to be better here" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--outcomes", "ROWS"], "give either the DIRECTORY of a bundle or --log", id="nothing"),
        pytest.param(["TINY", "--outcomes", "ROWS", "--log", "ROWS"], "give either the DIRECTORY", id="both"),
        pytest.param(["TINY", "--outcomes", "ROWS", "--data", "ROWS"], "give either --data or --outcomes", id="data"),
        pytest.param(["TINY", "--strong", "big"], "--strong needs --outcomes", id="needs outcomes"),
        pytest.param([], "Missing argument 'DIRECTORY'", id="no bundle"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(arguments: list[str], message: str, tiny: Path, planted: Path) -> None:
    files = {"TINY": str(tiny), "ROWS": str(planted)}

    result = run(*(files.get(each, each) for each in arguments))

    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([row("a", 1, 0)], "rows.jsonl:1: expected a request_id", id="no id"),
        pytest.param([row("a", 1, 0, request_id="x")], "rows.jsonl:1: .*has no scores of request 'x'", id="unknown id"),
    ],
)
def test_a_row_that_the_log_does_not_know_is_named(rows: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    log = write_rows(
        tmp_path / "log.jsonl",
        [{"outcome": "shadow", "request_id": "r", "scores": {"reasoning": 1, "non-reasoning": 0}}],
    )

    result = run("--outcomes", write_rows(tmp_path / "rows.jsonl", rows), "--log", log)

    assert result.exit_code == 1
    assert re.search(message, result.output)
