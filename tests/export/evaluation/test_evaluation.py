import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from export.classifier.inference import classify, open_classifier
from export.classifier.prompt_files import SHIPPED_PROMPTS, read_evaluation_rows
from export.errors import TrainingDataInvalid
from export.evaluation.evaluation import Evaluation, EvaluationOptions, evaluate, length_band, text_of_length
from export.evaluation.report import html_report, tables, text_report
from export.outcomes.eval_command import eval_command
from routing_policy.clipping import clip_text
from tests.stand_ins.tiny_classifier import write_tiny_bundle

LABELS = ["non-reasoning", "reasoning"]
ROWS = [
    {"text": "hard hard", "binary": "reasoning", "source": "puzzles", "lang": "en"},
    {"text": "easy", "binary": "non-reasoning", "source": "chat", "lang": "en"},
    {"text": "easy easy", "binary": "reasoning", "source": "chat", "lang": "de"},
    {"text": "hard " * 100, "binary": "reasoning", "source": "puzzles"},
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle", labels=("non-reasoning", "reasoning"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in ROWS))
    return file


@pytest.fixture(scope="module")
def evaluation(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    file = tmp_path_factory.mktemp("data") / "prompts.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in ROWS))
    rows = read_evaluation_rows(file, LABELS)
    return evaluate(tiny, rows, "four <prompts>", options=EvaluationOptions(resamples=20))


def test_figures_and_confusion_follow_from_the_decisions(evaluation: Evaluation) -> None:
    assert evaluation.rows == 4
    assert evaluation.overall["accuracy"].value == 0.75
    assert evaluation.confusion == [[1, 0], [1, 2]]
    assert evaluation.watched_label == "reasoning"
    assert sum(map(sum, evaluation.histogram)) == 4


def test_groups_are_counted_apart(evaluation: Evaluation) -> None:
    assert [(group.name, group.rows, group.accuracy.value) for group in evaluation.by_source] == [
        ("chat", 2, 0.5),
        ("puzzles", 2, 1.0),
    ]
    assert [(group.name, group.rows) for group in evaluation.by_language] == [
        ("all but English", 2),
        ("en", 2),
        ("de", 1),
        ("unknown", 1),
    ]
    assert [(group.name, group.rows) for group in evaluation.by_length] == [
        ("up to 32 tokens", 3),
        ("over 64 tokens, cut", 1),
    ]


def test_a_higher_cutoff_never_sends_more_to_reasoning(evaluation: Evaluation) -> None:
    shares = [cutoff.share for cutoff in evaluation.cutoffs]

    assert shares == sorted(shares, reverse=True)
    assert (shares[0], evaluation.cutoffs[0].score, evaluation.cutoffs[-1].score) == (1.0, 0.0, 1.0)


def test_latency_is_measured_in_every_bucket(evaluation: Evaluation) -> None:
    assert [each.tokens for each in evaluation.latency] == [32, 64]
    assert all(0 < each.low_ms <= each.median_ms <= each.high_ms for each in evaluation.latency)
    assert all(each.median_ms <= each.p95_ms for each in evaluation.latency)


def test_the_timed_text_fills_its_bucket(built_bundle: Path) -> None:
    classifier = open_classifier(built_bundle)

    text = text_of_length(classifier, 64)

    assert 56 <= len(clip_text(classifier.tokenizer, text, 256).ids) <= 64
    assert length_band(classifier, text) == "up to 64 tokens"


def test_both_reports_hold_every_table(evaluation: Evaluation) -> None:
    text, page = text_report(evaluation), html_report(evaluation)

    for table in tables(evaluation):
        assert table.title in text
        assert table.title in page
    assert "75.0 %" in text
    assert "four &lt;prompts&gt;" in page
    assert "<prompts>" not in page


def test_the_page_needs_nothing_else_and_its_plots_are_well_formed(evaluation: Evaluation) -> None:
    page = html_report(evaluation)

    plots = [f"<svg{part.split('</svg>')[0]}</svg>" for part in page.split("<svg")[1:]]
    assert not re.search(r"<script|\b(src|href)=|url\(|@import", page)
    assert len(plots) == 4
    for plot in plots:
        ET.fromstring(plot)  # noqa: S314 - the page was made two lines above


def test_the_command_prints_tables_and_writes_json_and_a_page(tiny: Path, data: Path, tmp_path: Path) -> None:
    outputs = ["--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")]

    result = CliRunner().invoke(eval_command, [str(tiny), "--data", str(data), "--resamples", "20", *outputs])

    assert result.exit_code == 0, result.output
    assert "Overall, with 95 % intervals" in result.output
    assert json.loads((tmp_path / "r.json").read_text())["overall"]["accuracy"]["value"] == 0.75
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_the_prompts_that_ship_suit_both_classifiers() -> None:
    binary = read_evaluation_rows(SHIPPED_PROMPTS, LABELS)
    topics = read_evaluation_rows(SHIPPED_PROMPTS, ["math", "code", "reasoning", "general"])

    assert len(binary) == len(topics) > 200
    assert {row.label for row in binary} == set(LABELS)
    assert {row.label for row in topics} == {"math", "code", "reasoning", "general"}
    assert len({row.language for row in binary}) >= 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "expected labelled prompts, got an empty file", id="empty"),
        pytest.param(
            '{"text": "a", "label": "reasoning"}\nnot json', r"prompts.jsonl:2: expected a JSON", id="no JSON"
        ),
        pytest.param('{"text": "a", "label": "poetry"}', r'prompts.jsonl:1: "label": expected one of', id="label"),
        pytest.param('{"text": " ", "label": "reasoning"}', r'prompts.jsonl:1: "text": expected a text', id="no text"),
    ],
)
def test_a_row_that_cannot_be_judged_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text(content)

    with pytest.raises(TrainingDataInvalid, match=message):
        read_evaluation_rows(tmp_path / "prompts.jsonl", LABELS)


def test_a_missing_file_is_one_line(tiny: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(eval_command, [str(tiny), "--data", str(tmp_path / "none.jsonl")])

    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path / 'none.jsonl'}: No such file or directory\n"


def test_scores_do_not_depend_on_the_company_a_text_keeps(built_bundle: Path) -> None:
    classifier = open_classifier(built_bundle)
    texts = ["What is a prime?", "prime " * 60, "prime " * 300]

    together = classify(classifier, texts)

    for index, text in enumerate(texts):
        assert classify(classifier, [text])[0] == pytest.approx(together[index], abs=1e-5)
