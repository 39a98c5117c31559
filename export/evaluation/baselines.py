"""What an operator would use instead of a classifier, judged on the same rows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from export.classifier.prompt_files import EvaluationRow
from routing_policy.keywords import keyword_scores

from .metrics import Figure, Truth, mean_with_interval

Predicted = npt.NDArray[np.int64]
SHUFFLES = 200
FEWEST_TO_CROSS_VALIDATE = 20  # rows


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A simpler way to choose: how often it is right, and how much more often the classifier is."""

    name: str
    accuracy: Figure
    margin: Figure


def compare_baselines(
    rows: Sequence[EvaluationRow],
    labels: list[str],
    decided: Predicted,
    *,
    training: Sequence[EvaluationRow],
    resamples: int,
) -> list[Baseline]:
    """Compare the classifier's decisions [rows] with every baseline; those that learn do so from `training`.

    Without `training` rows, majority and length are fitted to the rows they are judged on, which favours them, and word
    bags to the other rows of the same sources, which favours them less.
    """
    from .word_bag import cross_validated, train_word_bag

    truth = label_indices(rows, labels)
    learnt_from = training or rows
    note = "" if training else ", fitted to these rows"
    predictions = {
        f"majority{note}": np.full(len(rows), majority(learnt_from, labels)),
        f"length{note}": length_rule(learnt_from, rows, labels),
        "keywords": keywords(rows, labels),
    }
    if training:
        predictions["TF-IDF and logistic regression"] = train_word_bag(training, labels)([row.text for row in rows])
    elif len(rows) >= FEWEST_TO_CROSS_VALIDATE:
        predictions["TF-IDF and logistic regression, cross-validated on these rows"] = cross_validated(rows, labels)
    right = decided == truth
    compared = [_compare(name, predicted == truth, right, resamples) for name, predicted in predictions.items()]
    return [*compared, _shuffled(decided, truth, resamples)]


def label_indices(rows: Sequence[EvaluationRow], labels: list[str]) -> Truth:
    return np.array([labels.index(row.label) for row in rows], dtype=np.int64)


def majority(rows: Sequence[EvaluationRow], labels: list[str]) -> int:
    return labels.index(Counter(row.label for row in rows).most_common(1)[0][0])


def keywords(rows: Sequence[EvaluationRow], labels: list[str]) -> Predicted:
    """Return what the guide's keyword classifier says; it knows `reasoning` and one everyday label."""
    scores = [keyword_scores(row.text, labels) for row in rows]
    return np.array([labels.index(max(each, key=each.__getitem__)) for each in scores], dtype=np.int64)


def length_rule(training: Sequence[EvaluationRow], rows: Sequence[EvaluationRow], labels: list[str]) -> Predicted:
    """Cut lengths in characters into 20 bands of equal share and give each band its commonest label in `training`."""
    lengths = np.array([len(row.text) for row in training])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, 21)[1:-1]))
    bands, truth = np.digitize(lengths, edges), label_indices(training, labels)
    fallback = majority(training, labels)
    by_band = [
        int(np.bincount(truth[bands == band], minlength=len(labels)).argmax()) if (bands == band).any() else fallback
        for band in range(len(edges) + 1)
    ]
    return np.array([by_band[band] for band in np.digitize([len(row.text) for row in rows], edges)], dtype=np.int64)


def _compare(name: str, right: npt.NDArray[Any], decided_right: npt.NDArray[np.bool_], resamples: int) -> Baseline:
    """Compare by how often each row is `right`: true or false, or a chance between 0 and 1."""
    return Baseline(
        name=name,
        accuracy=mean_with_interval(right, resamples),
        margin=mean_with_interval(decided_right.astype(np.float64) - right, resamples),
    )


def _shuffled(decided: Predicted, truth: Truth, resamples: int) -> Baseline:
    """Deal the classifier's own decisions out at random: the same cost, none of the judgement."""
    generator = np.random.default_rng(0)
    chances = np.mean([generator.permutation(decided) == truth for _ in range(SHUFFLES)], axis=0)
    return _compare("own decisions, shuffled", chances, decided == truth, resamples)
