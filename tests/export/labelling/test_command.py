import json
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from export.classifier.prompt_files import read_evaluation_rows
from export.errors import TrainingDataInvalid
from export.labelling.command import label_command
from export.labelling.judge import INSTRUCTION, MEANINGS
from export.training.data import read_prompts

from .judges import JudgeServer, running_judge

LABELS = ["non-reasoning", "reasoning"]
HARD = [f"prove {thing} by a short argument" for thing in ("this", "that", "it", "all", "more", "less", "much", "same")]
EASY = [
    f"translate {thing} into plain German" for thing in ("this", "that", "it", "all", "more", "less", "much", "same")
]


def line(text: str | None, reasoning: float | None, **fields: Any) -> str:
    """Return one line as the proxy writes it; no decision was taken where `reasoning` is None."""
    scores = None if reasoning is None else {"non-reasoning": 1 - reasoning, "reasoning": reasoning}
    record = {"ts": 1_795_000_020.0, "request_id": "r1", "surface": "/v1/chat/completions", "mode": "shadow"}
    return json.dumps({**record, "outcome": "shadow", "target": "small", "scores": scores, "text": text, **fields})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Write a rotated log: 16 prompts, the classifier surer from one to the next, one repeated, one of them empty."""
    lines = [line(text, 0.55 + index / 20) for index, text in enumerate(HARD)]
    lines += [line(text, 0.45 - index / 20) for index, text in enumerate(EASY)]
    extra = [line(f"{HARD[0]}\n", 0.52), line("ok!", 0.1), line(None, None), line("no decision on this", None)]
    (tmp_path / "decisions.jsonl.1").write_text("".join(f"{each}\n" for each in lines[:9]))
    (tmp_path / "decisions.jsonl").write_text("".join(f"{each}\n" for each in [*lines[9:], *extra]) + '{"text": "cut')
    return tmp_path / "decisions.jsonl"


@pytest.fixture
def judge() -> Iterator[JudgeServer]:
    """Run a judge who finds every proof and, by mistake, one translation hard, and has no opinion on `same`."""

    def answer(prompt: str) -> str:
        if "same" in prompt:
            return "I would have to think about that."
        return "Reasoning." if prompt.startswith("prove") or "much" in prompt else "<think>easy</think>\nnon-reasoning"

    with running_judge(answer) as server:
        yield server


def label(*arguments: object, **variables: str) -> Result:
    return CliRunner().invoke(label_command, [str(argument) for argument in arguments], env=variables)


def asked(judge: JudgeServer) -> tuple[str, ...]:
    return ("--judge", judge.url, "--judge-model", "big")


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(each) for each in file.read_text().splitlines()]


def test_a_judge_labels_what_the_log_holds(log: Path, judge: JudgeServer, tmp_path: Path) -> None:
    output = tmp_path / "prompts.jsonl"

    result = label(log, "--output", output, "--per-shape", 20, *asked(judge))

    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "20 lines read, 18 decisions with text (1 repeated, 1 near-empty), 16 different prompts\n"
        "16 chosen: 16 for doubt\n"
        f"14 labelled, 2 unlabelled, the last lines of {output}: label or delete them before you train\n"
        "judge and classifier agree on 92.9% (68.5% to 98.7%) of those for doubt\n"
    )
    assert result.stderr == ""
    assert rows(output)[0] == {
        "text": "translate much into plain German",
        "label": "reasoning",
        "decided": "non-reasoning",
        "confidence": 0.85,
        "chosen": "doubt",
        "source": "log",
    }
    assert [row["label"] for row in rows(output)[-2:]] == [None, None]
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


def test_the_judge_is_asked_as_documented(log: Path, judge: JudgeServer, tmp_path: Path) -> None:
    options = ("--count", 1, "--doubtful", 1, "--judge-key-env", "JUDGE_KEY", *asked(judge))

    result = label(log, "--output", tmp_path / "prompts.jsonl", *options, JUDGE_KEY="secret")

    assert result.exit_code == 0, result.output
    assert judge.keys == ["Bearer secret"]
    meanings = MEANINGS[frozenset(LABELS)]
    lines = "\n".join(f"- {each}: {meanings[each]}" for each in LABELS)
    assert judge.bodies == [
        {
            "model": "big",
            "messages": [
                {"role": "system", "content": INSTRUCTION.format(labels=lines)},
                {"role": "user", "content": f"<prompt>\n{HARD[0]}\n\n</prompt>"},
            ],
            "temperature": 0,
            "max_tokens": 1024,
        }
    ]


def test_labelled_rows_are_what_training_and_evaluation_read(log: Path, judge: JudgeServer, tmp_path: Path) -> None:
    output = tmp_path / "prompts.jsonl"

    label(log, "--output", output, "--per-shape", 20, *asked(judge))
    output.write_text("".join(output.read_text().splitlines(keepends=True)[:-2]))

    assert len(read_prompts(output, "label")) == 14
    assert Counter(row.label for row in read_evaluation_rows(output, LABELS)) == {"reasoning": 8, "non-reasoning": 6}


def test_without_a_judge_a_person_fills_in_the_labels_and_training_says_where(log: Path, tmp_path: Path) -> None:
    output = tmp_path / "prompts.jsonl"

    result = label(log, "--output", output, "--count", 4)

    assert result.exit_code == 0, result.output
    assert [(row["label"], row["confidence"]) for row in rows(output)[:2]] == [(None, 0.52), (None, 0.55)]
    assert "0 labelled, 4 unlabelled" in result.stdout
    with pytest.raises(TrainingDataInvalid, match=r'prompts.jsonl:1: "label" is null: fill it in, or delete the line'):
        read_prompts(output, "label")


def test_a_file_to_measure_on_is_a_plain_sample_without_what_was_trained_on(log: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "train.jsonl", tmp_path / "check.jsonl"
    label(log, "--output", first, "--count", 6, "--per-shape", 20)

    result = label(log, "--output", second, "--count", 20, "--sample", "--without", first)
    nothing = label(log, "--output", tmp_path / "x.jsonl", "--without", first, "--without", second)

    assert "10 chosen: 10 plainly at random\n" in result.stdout
    assert not {row["text"] for row in rows(first)} & {row["text"] for row in rows(second)}
    assert {row["chosen"] for row in rows(second)} == {"sample"}
    assert nothing.stderr == f"Error: {first}: holds every prompt of the log, so none is left to choose\n"


def test_a_new_label_set_is_explained_to_the_judge(log: Path, judge: JudgeServer, tmp_path: Path) -> None:
    judge.answer = lambda prompt: "german" if "German" in prompt else "other"
    options = ("--labels", "german,other", "--meaning", "german=about German", "--meaning", "other=anything else")

    result = label(log, "--output", tmp_path / "prompts.jsonl", *options, *asked(judge))

    assert result.exit_code == 0, result.output
    assert "- german: about German\n- other: anything else" in judge.bodies[0]["messages"][0]["content"]
    assert {row["label"] for row in rows(tmp_path / "prompts.jsonl")} == {"german", "other"}


def test_a_judge_that_stops_answering_leaves_the_rest_unlabelled(log: Path, judge: JudgeServer, tmp_path: Path) -> None:
    output = tmp_path / "prompts.jsonl"
    judge.answer = lambda _: "reasoning" if len(judge.bodies) < 4 else web.Response(status=401)

    result = label(log, "--output", output, "--in-flight", 1, "--per-shape", 20, *asked(judge))

    assert result.exit_code == 0, result.output
    assert "3 labelled, 13 unlabelled" in result.stdout
    assert result.stderr == (
        f"judge {judge.url}: status 401: it wants a key; --judge-key-env names the variable that holds it;"
        " the prompts not asked about by then have no label\n"
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(web.Response(status=404), "status 404: no such path or no such model", id="no model"),
        pytest.param(web.Response(text="<html>prove"), "expected a chat completion, got something else", id="a page"),
        pytest.param(web.json_response({"choices": []}), "expected a chat completion", id="no choice"),
    ],
)
def test_what_is_no_judge_is_named_without_its_words(
    answer: web.Response, message: str, log: Path, judge: JudgeServer, tmp_path: Path
) -> None:
    status, body = answer.status, answer.body
    judge.answer = lambda _: web.Response(status=status, body=body)

    result = label(log, "--output", tmp_path / "prompts.jsonl", *asked(judge))

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: judge {judge.url}: {message}")
    assert "prove" not in result.output
    assert not (tmp_path / "prompts.jsonl").exists()


def test_a_judge_nobody_runs_is_one_line(log: Path, closed_port: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port}/v1"

    result = label(log, "--output", tmp_path / "prompts.jsonl", "--judge", url, "--judge-model", "big")

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: judge {url}: no answer: Cannot connect")
    assert result.stderr.endswith("4 times in a row\n")
    assert not (tmp_path / "prompts.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["{tmp}/none.jsonl"], "none.jsonl: No such file or directory", id="no log"),
        pytest.param(["{tmp}/bare.jsonl"], "SEMROUTER_DECISION_LOG_TEXT=true makes the proxy log it", id="no text"),
        pytest.param(["{tmp}/odd.jsonl"], "odd.jsonl:1: expected a line of the decision log", id="another log"),
        pytest.param(["{log}", "--labels", "easy,hard"], "no decision has a score for ['easy', 'hard']", id="label"),
        pytest.param(["{log}", "--labels", "reasoning"], "expected two or more labels, got ['reasoning']", id="one"),
        pytest.param(
            ["{log}", "{tmp}/topics.jsonl"], "one set of labels, got [('non-reasoning',", id="two classifiers"
        ),
        pytest.param(["{log}", "--judge", "http://x/v1"], "--judge and --judge-model need each other", id="no model"),
        pytest.param(["{log}", "--judge", "x", "--judge-model", "m"], "expected http://", id="no URL"),
        pytest.param(
            ["{log}", "--judge", "http://x", "--judge-model", "m", "--judge-key-env", "UNSET_KEY"],
            "the variable UNSET_KEY is not set",
            id="no key",
        ),
        pytest.param(["{log}", "--meaning", "hard"], "expected LABEL=TEXT, got 'hard'", id="no meaning"),
        pytest.param(["{log}", "--output", "{log}"], "is there already, perhaps with labels", id="output exists"),
    ],
)
def test_what_cannot_be_labelled_is_refused(options: list[str], message: str, log: Path, tmp_path: Path) -> None:
    (tmp_path / "bare.jsonl").write_text(
        json.dumps({"outcome": "off", "scores": {"reasoning": 1.0, "non-reasoning": 0.0}})
    )
    (tmp_path / "odd.jsonl").write_text('{"text": 7}')
    (tmp_path / "topics.jsonl").write_text(line("What is a prime?", None, scores={"math": 0.9, "general": 0.1}))

    filled = [option.format(tmp=tmp_path, log=log) for option in options]
    result = label("--output", tmp_path / "prompts.jsonl", *filled)

    assert result.exit_code != 0
    assert message in result.stderr
    assert not (tmp_path / "prompts.jsonl").exists()
