import numpy as np
import pytest

from export.classifier.prompt_files import EvaluationRow
from export.evaluation.baselines import compare_baselines, keywords, length_rule, majority
from export.evaluation.word_bag import cross_validated, train_word_bag

LABELS = ["non-reasoning", "reasoning"]


def row(text: str, label: str) -> EvaluationRow:
    return EvaluationRow(text=text, label=label, source="own", language="en")


EASY = [row(f"hello {number}", "non-reasoning") for number in range(30)]
HARD = [row(f"please derive the closed form of sequence {number}", "reasoning") for number in range(20)]


def test_majority_is_the_commonest_label() -> None:
    assert majority([*EASY, *HARD], LABELS) == 0


def test_keywords_decide_as_the_guide_says() -> None:
    rows = [row("Prove it", "reasoning"), row("derive it", "reasoning")]

    assert keywords(rows, LABELS).tolist() == [1, 0]


def test_length_alone_separates_what_differs_in_length() -> None:
    assert length_rule([*EASY, *HARD], [EASY[0], HARD[0]], LABELS).tolist() == [0, 1]


def test_a_length_never_seen_gets_the_nearest_band() -> None:
    assert length_rule([*EASY, *HARD], [row("x" * 5000, "reasoning")], LABELS).tolist() == [1]


def test_word_bags_learn_words() -> None:
    decide = train_word_bag([*EASY, *HARD], LABELS)

    assert decide(["hello there", "derive the sequence"]).tolist() == [0, 1]


def test_word_bags_take_a_text_without_a_known_word() -> None:
    assert len(train_word_bag([*EASY, *HARD], LABELS)(["", "zzz"])) == 2


def test_word_bags_are_never_judged_on_rows_they_learnt_from() -> None:
    rows = [row(f"only {number}", "reasoning" if number % 5 == 0 else "non-reasoning") for number in range(25)]

    decided = cross_validated(rows, LABELS)

    assert decided[::5].tolist() == [0] * 5  # the other folds hold no such label


def test_perfect_decisions_beat_every_baseline_and_their_own_shuffle() -> None:
    rows = [*EASY, *HARD]
    decided = np.array([0] * 30 + [1] * 20)

    compared = {each.name: each for each in compare_baselines(rows, LABELS, decided, training=[], resamples=50)}

    assert list(compared) == [
        "majority, fitted to these rows",
        "length, fitted to these rows",
        "keywords",
        "TF-IDF and logistic regression, cross-validated on these rows",
        "own decisions, shuffled",
    ]
    assert compared["keywords"].accuracy.value == 0.6
    assert compared["keywords"].margin.value == pytest.approx(0.4)
    assert compared["own decisions, shuffled"].accuracy.value == pytest.approx(0.52, abs=0.03)


def test_training_rows_bring_the_learning_baseline() -> None:
    rows = [*EASY, *HARD]

    compared = compare_baselines(rows, LABELS, np.zeros(50, dtype=np.int64), training=rows, resamples=20)

    assert [each.name for each in compared][:4] == ["majority", "length", "keywords", "TF-IDF and logistic regression"]
