import json
from pathlib import Path

import pytest

from export.classifier.inference import classify, open_classifier
from export.classifier.prompt_files import read_evaluation_rows
from routing_policy.bundle import read_bundle, verify_files

from .training_runs import train, write_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "prompts.jsonl", hard="hard", easy="easy")


def small(donor: Path) -> tuple[object, ...]:
    return ("--init-embeddings", donor, "--layers", 2, "--hidden", 32, "--vocabulary", 900)


def test_a_new_classifier_learns_from_prompts_and_a_teacher_and_becomes_a_bundle(
    data: Path, bert: Path, tmp_path: Path
) -> None:
    options = ("--teacher", bert, "--topic-field", "topic", "--dev", data, "--epochs", 12, "--learning-rate", 0.003)

    result = train(data, tmp_path / "out", *small(bert), *options)

    assert result.exit_code == 0, result.output
    classifier = open_classifier(tmp_path / "out" / "bundle")
    assert classifier.bundle.labels == ["easy", "hard"]
    assert classifier.bundle.source["architecture"] == "modernbert"
    scores = classify(classifier, ["prove that seven coins", "who painted the river"])
    assert scores[0][1] > 0.5
    assert scores[1][0] > 0.5


def test_topics_learned_beside_the_labels_ship_as_a_classifier_of_their_own(
    data: Path, modernbert: Path, tmp_path: Path
) -> None:
    learned = ("--topic-field", "topic", "--dev", data, "--epochs", 12, "--learning-rate", 0.003)
    options = ("--no-pairs", "--topic-temperature", 1.5)

    result = train(data, tmp_path / "out", "--base", modernbert, *learned, *options)

    assert result.exit_code == 0, result.output
    labels, topics = (open_classifier(tmp_path / "out" / folder) for folder in ("bundle", "topic/bundle"))
    assert labels.bundle.labels == ["easy", "hard"]
    assert topics.bundle.labels == ["derive", "how", "prove", "solve", "tell", "translate", "what", "who"]
    assert topics.bundle.temperature == 1.5
    assert topics.bundle.figures["training"]["dev"]["accuracy"] > 0.3  # an eighth by chance


def test_fine_tuning_starts_from_a_checkpoint_and_takes_over_its_tokenizer(
    data: Path, modernbert: Path, tmp_path: Path
) -> None:
    result = train(data, tmp_path / "out", "--base", modernbert, "--epochs", 2, "--labels", "hard,easy")

    assert result.exit_code == 0, result.output
    bundle = read_bundle(tmp_path / "out" / "bundle")
    verify_files(tmp_path / "out" / "bundle", bundle)
    assert bundle.labels == ["hard", "easy"]
    assert "epoch 1/2: dev accuracy" in result.output


def test_the_same_seed_gives_the_same_bundle(data: Path, bert: Path, tmp_path: Path) -> None:
    options = (*small(bert), "--epochs", 2, "--teacher", bert, "--prompts-per-epoch", 40)

    for name, seed in (("first", 7), ("again", 7), ("other", 8)):
        assert train(data, tmp_path / name, *options, "--seed", seed).exit_code == 0

    revisions = [read_bundle(tmp_path / name / "bundle").revision for name in ("first", "again", "other")]
    assert revisions[0] == revisions[1]
    assert revisions[0] != revisions[2]


def test_held_out_sources_are_judged_and_not_trained_on(data: Path, modernbert: Path, tmp_path: Path) -> None:
    options = ("--epochs", 1, "--hold-out", "river", "--hold-out", "clock", "--dev", data)

    result = train(data, tmp_path / "out", "--base", modernbert, *options)

    assert result.exit_code == 0, result.output
    assert "48 prompts to train on, 48 to stop by" in result.output
    assert "classifier on 16 prompts of sources held out: {'accuracy': " in result.output
    figures = read_bundle(tmp_path / "out" / "bundle").figures["training"]
    assert figures["held_out_sources"] == ["clock", "river"]
    assert list(figures["unseen_sources"]["classifier"]["by_source"]) == ["clock", "river"]
    assert list(figures["dev"]["by_label"]) == ["easy", "hard"]
    unseen = read_evaluation_rows(tmp_path / "out" / "unseen.jsonl", ["easy", "hard"])
    assert {row.source for row in unseen} == {"clock", "river"}


def test_a_fold_holds_out_all_of_its_sources(data: Path, modernbert: Path, tmp_path: Path) -> None:
    for old, new in (("river", "mgsm"), ("clock", "oasst1"), ("boat", "mmlu")):
        data.write_text(data.read_text().replace(f'"source": "{old}"', f'"source": "{new}"'))

    result = train(data, tmp_path / "out", "--base", modernbert, "--epochs", 1, "--hold-out-fold", 1, "--dev", data)

    assert result.exit_code == 0, result.output
    held = read_bundle(tmp_path / "out" / "bundle").figures["training"]["held_out_sources"]
    assert held == ["mgsm", "oasst1"]


def test_a_bert_is_fine_tuned_without_attention_dropout(data: Path, bert: Path, tmp_path: Path) -> None:
    result = train(data, tmp_path / "out", "--base", bert, "--epochs", 1, "--balance-labels")

    assert result.exit_code == 0, result.output
    assert (
        json.loads((tmp_path / "out" / "checkpoint" / "config.json").read_text())["attention_probs_dropout_prob"] == 0
    )
    assert read_bundle(tmp_path / "out" / "bundle").source["architecture"] == "bert"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param((), "either --base or --init-embeddings", id="nothing to start from"),
        pytest.param(("--base", "/nowhere"), "/nowhere: no such folder", id="no such base"),
        pytest.param(("--base", "{donor}", "--labels", "easy,tough"), "prompts.jsonl:", id="unknown label"),
        pytest.param(("--base", "{donor}", "--dev", "{empty}"), "empty.jsonl: expected labelled", id="empty dev file"),
        pytest.param(("--base", "{donor}", "--source-weight", "mbpp"), "SOURCE=WEIGHT", id="weight without a number"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_work(
    data: Path, modernbert: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()

    result = train(data, tmp_path / "out", *(option.format(donor=modernbert, empty=empty) for option in options))

    assert result.exit_code != 0
    assert message in result.output
    assert not (tmp_path / "out").exists()
