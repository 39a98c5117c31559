"""docs/recipe.md from end to end, with a small classifier and the files that an operator has."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.classifier.inference import classify, open_classifier
from export.repository.installation import install_bundle, installed_versions
from local.cli import main
from tests.conftest import CHECKOUT
from tests.docs.documents import all_blocks, shell_commands
from tests.export.labelling.judges import JudgeServer, running_judge
from tests.export.training.training_runs import EASY, HARD, THINGS

NAME = "reasoning_classifier"
POLICY = "reasoning_model: big\ngeneral_model: small\nabstain_onprem_model: small\nthreshold_min_conf: 0.51\n"
ADJECTIVES = ("old", "red", "small", "quiet")


@pytest.fixture
def judge() -> Iterator[JudgeServer]:
    with running_judge(lambda prompt: "reasoning" if prompt.startswith(HARD) else "non-reasoning") as server:
        yield server


@pytest.fixture
def folder(built_bundle: Path, modernbert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out what stands at the start: a served bundle, its checkpoint, the policy and a log with text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMROUTER_REPOSITORY", str(tmp_path / "repository"))
    (tmp_path / "repository").mkdir()
    install_bundle(built_bundle, tmp_path / "repository", NAME)
    shutil.copytree(modernbert, tmp_path / "first" / "checkpoint")
    (tmp_path / "policy.yaml").write_text(POLICY)
    texts = [f"{start} {thing}, {word}" for word in ADJECTIVES for start in (*HARD, *EASY) for thing in THINGS]
    scores = classify(open_classifier(built_bundle), texts)
    (tmp_path / "decisions.jsonl").write_text(
        "".join(f"{log_line(text, float(row[1]))}\n" for text, row in zip(texts, scores, strict=True))
    )
    return tmp_path


def log_line(text: str, reasoning: float) -> str:
    scores = {"non-reasoning": 1 - reasoning, "reasoning": reasoning}
    record = {"ts": 1_795_000_020.0, "mode": "shadow", "outcome": "shadow", "target": "small", "served_by": "small"}
    return json.dumps({**record, "confidence": max(scores.values()), "scores": scores, "text": text})


def write_outcomes(log: Path, file: Path) -> None:
    """Write what both models made of the logged prompts: the small one fails the hard ones."""
    texts = [json.loads(line)["text"] for line in log.read_text().splitlines()]
    rows = [
        {"text": text, "models": {"big": {"quality": 1}, "small": {"quality": int(not text.startswith(HARD))}}}
        for text in texts
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def semrouter(arguments: str) -> str:
    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_recipe_leads_from_a_log_to_a_better_classifier_and_back(folder: Path, judge: JudgeServer) -> None:
    asked = f"--judge {judge.url} --judge-model any"

    labelled = semrouter(f"label decisions.jsonl --output prompts.jsonl --count 120 --per-shape 20 {asked}")
    trained = semrouter(
        "train --base first/checkpoint --data prompts.jsonl --output better --threads 1 --epochs 6 --learning-rate 3e-3"
    )
    semrouter(f"label decisions.jsonl --output check.jsonl --count 60 --sample --without prompts.jsonl {asked}")
    evaluated = semrouter("eval better/bundle --data check.jsonl --html check.html --json check.json")
    semrouter("calibrate temperature better/bundle --data check.jsonl --output honest")
    semrouter("rescore decisions.jsonl --bundle honest --output rescored.jsonl")
    replayed = semrouter("policy replay policy.yaml rescored.jsonl")
    cutoff = semrouter("calibrate policy policy.yaml --max-share 0.6 --log rescored.jsonl")
    write_outcomes(folder / "decisions.jsonl", folder / "outcomes.jsonl")
    gained = semrouter("eval honest --outcomes outcomes.jsonl --policy policy.yaml --resamples 100")
    kept = semrouter("calibrate policy policy.yaml --outcomes outcomes.jsonl --bundle honest --keep-quality 0.95")
    spent = semrouter("calibrate policy policy.yaml --outcomes outcomes.jsonl --bundle honest --budget 0.4")
    learnt = semrouter("train --outcomes outcomes.jsonl --base honest --output learnt")
    installed = semrouter("bundle install honest --policy policy.yaml")
    canaries = semrouter(f"canaries repository/{NAME}")
    versions = [each.version for each in installed_versions(folder / "repository", NAME) if not each.withdrawn]
    back = semrouter(f"bundle rollback {NAME}")

    assert "256 lines read, 256 decisions with text" in labelled
    assert "120 labelled, 0 unlabelled" in labelled
    assert "Against the classifier it started from" in trained
    assert "Bundle" in evaluated
    assert json.loads((folder / "check.json").read_text())["overall"]["accuracy"]["value"] > 0.9
    assert "256 of 256 lines replayed" in replayed
    assert "small -> big" in replayed
    assert "+reasoning_cutoff: 0." in cutoff
    assert "better than chance: APGR" in gained
    assert "+reasoning_cutoff: " in kept
    assert "+reasoning_cutoff: " in spent
    assert "better" in learnt.splitlines()[0].lower()
    assert f"{NAME}/2:" in canaries
    assert installed.startswith(f"{NAME} 2: revision ")
    assert versions == [1, 2]
    assert back.startswith(f"{NAME} 1: revision ")


def test_the_diff_of_the_recipe_is_one_that_patch_takes(folder: Path) -> None:
    diff = semrouter("calibrate policy policy.yaml --max-share 0.3 --log decisions.jsonl")

    subprocess.run(["patch", "-p0"], input=diff, text=True, check=True, capture_output=True)

    assert "reasoning_cutoff: " in (folder / "policy.yaml").read_text()


def test_the_document_shows_every_step_of_it() -> None:
    commands = [
        command.split()[:3]
        for block in all_blocks("bash")
        if block.file == CHECKOUT / "docs" / "recipe.md"
        for command in shell_commands(block)
    ]

    assert [command[1] for command in commands if command[:1] == ["semrouter"]] == [
        *("label", "train", "label", "eval", "eval", "calibrate", "rescore", "policy", "calibrate", "calibrate"),
        *("eval", "calibrate", "calibrate", "train"),
        *("bundle", "bundle", "canaries", "bundle"),
    ]
