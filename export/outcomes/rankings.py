"""Ways to rank prompts by what the stronger model adds, which a classifier is held against."""

from collections.abc import Callable, Sequence

import numpy as np

from export.evaluation.word_bag import train_gain_bag
from routing_policy.keywords import keyword_scores

from .curve import Numbers
from .rows import FOLDS, Pair, fold_numbers, gains

FEWEST_TO_CROSS_VALIDATE = 50  # rows
KEYWORD_LABELS = ["non-reasoning", "reasoning"]
ORACLE, RANDOM, LENGTH, KEYWORDS = "oracle", "random", "length in characters", "keywords"
TASK_MEAN = "mean of the task, cross-validated"
WORD_BAG = "TF-IDF and least squares, cross-validated"
# From prompts and their gains to a function that scores other prompts.
Learner = Callable[[Sequence[Pair], Numbers], Callable[[Sequence[Pair]], Numbers]]


def baseline_scores(pairs: Sequence[Pair]) -> dict[str, Numbers]:
    """Return one score a row by everything that needs no classifier; those that learn do so from the other folds."""
    texts = [pair.text for pair in pairs]
    found = {
        ORACLE: gains(pairs),
        RANDOM: np.zeros(len(pairs)),
        LENGTH: np.array([float(len(text)) for text in texts]),
        KEYWORDS: np.array([keyword_scores(text, KEYWORD_LABELS)["reasoning"] for text in texts]),
    }
    if len(pairs) < FEWEST_TO_CROSS_VALIDATE:
        return found
    if len({pair.task for pair in pairs}) > 1:
        found[TASK_MEAN] = cross_validated(pairs, _learn_task_means)
    found[WORD_BAG] = cross_validated(pairs, _learn_words)
    return found


def cross_validated(pairs: Sequence[Pair], learn: Learner) -> Numbers:
    """Return each row's score as it is predicted from the other folds; the same text is always in one fold."""
    folds, gain = fold_numbers(pair.text for pair in pairs), gains(pairs)
    scores = np.zeros(len(pairs))
    for fold in range(FOLDS):
        inside, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if inside.size and rest.size:
            predict = learn([pairs[row] for row in rest], gain[rest])
            scores[inside] = predict([pairs[row] for row in inside])
    return scores


def _learn_task_means(pairs: Sequence[Pair], gain: Numbers) -> Callable[[Sequence[Pair]], Numbers]:
    of_task: dict[str | None, list[float]] = {}
    for pair, value in zip(pairs, gain, strict=True):
        of_task.setdefault(pair.task, []).append(float(value))
    means, otherwise = {task: float(np.mean(values)) for task, values in of_task.items()}, float(gain.mean())
    return lambda others: np.array([means.get(pair.task, otherwise) for pair in others])


def _learn_words(pairs: Sequence[Pair], gain: Numbers) -> Callable[[Sequence[Pair]], Numbers]:
    predict = train_gain_bag([pair.text for pair in pairs], gain - gain.mean())
    return lambda others: predict([pair.text for pair in others])
