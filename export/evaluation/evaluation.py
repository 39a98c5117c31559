"""Measure a bundle on labelled prompts: figures with intervals, groups, baselines, robustness and latency."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from export.classifier.inference import Classifier, classify, open_classifier
from export.classifier.prompt_files import EvaluationRow
from routing_policy.clipping import clip_text

from .baselines import Baseline, compare_baselines, label_indices
from .dress_flips import DressFlips, JudgedEasy, count_dress_flips, easy_label
from .metrics import (
    METRICS,
    CalibrationBin,
    Figure,
    Truth,
    calibration_bins,
    confusion,
    median_with_interval,
    wilson,
    with_interval,
)
from .robustness import Decide, Flips, count_flips

HISTOGRAM_BINS = 20
CUTOFFS = 50
LATENCY_RUNS = 30
LATENCY_RESAMPLES = 200
MAIN_LANGUAGE = "en"


class EvaluationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure beside the figures, and how carefully."""

    resamples: int = 1000
    robustness_prompts: int = 300  # the first so many rows; 0 leaves the block out
    dress_prompts: int = 5  # hard ones and as many easy ones in each held-out dress


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that share a source, a language or a length."""

    name: str
    rows: int
    accuracy: Figure


class Cutoff(msgspec.Struct, frozen=True, kw_only=True):
    """At this score for the hard label: the share of rows sent there, and how many decisions are right."""

    score: float
    share: float
    accuracy: float


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from text to scores for one prompt alone, in this process; the interval is the median's."""

    tokens: int
    median_ms: float
    low_ms: float
    high_ms: float
    p95_ms: float


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `semrouter eval` reports; its JSON form is this struct."""

    bundle: str
    labels: list[str]
    data: str
    rows: int
    overall: dict[str, Figure]
    confusion: list[list[int]]  # rows are the truth
    by_source: list[Group]
    by_language: list[Group]
    by_length: list[Group]
    baselines: list[Baseline]
    robustness: list[Flips]
    dresses: list[DressFlips] = []  # none in evaluations of earlier releases
    latency: list[Latency]
    calibration: list[CalibrationBin]
    histogram: list[list[int]]  # per label of the truth: rows per twentieth of the watched label's score
    cutoffs: list[Cutoff]
    watched_label: str


def evaluate(
    directory: Path,
    rows: Sequence[EvaluationRow],
    data: str,
    *,
    training: Sequence[EvaluationRow] = (),
    options: EvaluationOptions,
) -> Evaluation:
    """Score `rows` with the bundle in `directory` and measure; `training` rows are for the baselines that learn."""
    classifier = open_classifier(directory)
    labels, resamples = classifier.bundle.labels, options.resamples
    texts = [row.text for row in rows]
    scores, truth = classify(classifier, texts), label_indices(rows, labels)
    decided = scores.argmax(axis=1)
    watched = labels.index("reasoning") if "reasoning" in labels else len(labels) - 1
    right = decided == truth
    return Evaluation(
        bundle=classifier.bundle.revision,
        labels=labels,
        data=data,
        rows=len(rows),
        overall={name: with_interval(metric, scores, truth, resamples) for name, metric in METRICS.items()},
        confusion=confusion(scores, truth).tolist(),
        by_source=group_accuracy([row.source for row in rows], right),
        by_language=language_accuracy([row.language for row in rows], right),
        by_length=length_bands(classifier, texts, right),
        baselines=compare_baselines(rows, labels, decided, training=training, resamples=resamples),
        robustness=_robustness(classifier, texts, truth, options),
        dresses=count_dress_flips(texts, judged_easy(classifier), options.dress_prompts),
        latency=measure_latency(open_classifier(directory, threads=1)),
        calibration=calibration_bins(scores, truth),
        histogram=score_histogram(scores[:, watched], truth, len(labels)),
        cutoffs=cutoff_curve(scores[:, watched], truth == watched),
        watched_label=labels[watched],
    )


def group_accuracy(names: Sequence[str], right: npt.NDArray[np.bool_]) -> list[Group]:
    """Return the accuracy of each group with its Wilson interval, largest group first."""
    members = {name: np.array([other == name for other in names]) for name in dict.fromkeys(names)}
    found = [Group(name=name, rows=int(rows.sum()), accuracy=wilson(right[rows])) for name, rows in members.items()]
    return sorted(found, key=lambda group: (-group.rows, group.name))


def language_accuracy(languages: Sequence[str], right: npt.NDArray[np.bool_]) -> list[Group]:
    """Return the accuracy per language, after that of all but English together where there are several."""
    groups = group_accuracy(languages, right)
    others = np.array([language != MAIN_LANGUAGE for language in languages])
    if len(groups) <= 2 or others.all():  # noqa: PLR2004 - English and one more say it themselves
        return groups
    return [Group(name="all but English", rows=int(others.sum()), accuracy=wilson(right[others])), *groups]


def length_bands(classifier: Classifier, texts: Sequence[str], right: npt.NDArray[np.bool_]) -> list[Group]:
    """Return the accuracy per pad bucket, shortest first, and of the texts that are cut."""
    names = [length_band(classifier, text) for text in texts]
    bands = {name_band(bucket): bucket for bucket in classifier.bundle.buckets}
    return sorted(group_accuracy(names, right), key=lambda group: bands.get(group.name, math.inf))


def name_band(bucket: int) -> str:
    return f"up to {bucket} tokens"


def length_band(classifier: Classifier, text: str) -> str:
    """Name the pad bucket a text falls into, or say that it is cut."""
    clipped = clip_text(classifier.tokenizer, text, classifier.bundle.max_length)
    if clipped.truncated:
        return f"over {classifier.bundle.max_length} tokens, cut"
    bucket = next(bucket for bucket in classifier.bundle.buckets if bucket >= len(clipped.ids))
    return name_band(bucket)


def score_histogram(score: npt.NDArray[np.float64], truth: Truth, labels: int) -> list[list[int]]:
    bins = np.minimum((score * HISTOGRAM_BINS).astype(int), HISTOGRAM_BINS - 1)
    return [np.bincount(bins[truth == label], minlength=HISTOGRAM_BINS).tolist() for label in range(labels)]


def cutoff_curve(score: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> list[Cutoff]:
    """Try cutoffs between 0 and 1 for sending a row to the watched label."""
    points = np.linspace(0, 1, CUTOFFS + 1)
    return [
        Cutoff(
            score=float(point),
            share=float((score >= point).mean()),
            accuracy=float(((score >= point) == positive).mean()),
        )
        for point in points
    ]


def measure_latency(classifier: Classifier) -> list[Latency]:
    """Time single texts that fill each bucket, from text to scores."""
    return [_time_text(classifier, bucket) for bucket in classifier.bundle.buckets]


def _time_text(classifier: Classifier, tokens: int) -> Latency:
    """Time a text of words; it may lack a few of `tokens`, and is padded like any other."""
    text = text_of_length(classifier, tokens)
    classify(classifier, [text])
    milliseconds = []
    for _ in range(LATENCY_RUNS):
        start = time.perf_counter()
        classify(classifier, [text])
        milliseconds.append(1e3 * (time.perf_counter() - start))
    median = median_with_interval(np.array(milliseconds), LATENCY_RESAMPLES)
    p95 = float(np.quantile(milliseconds, 0.95))
    return Latency(tokens=tokens, median_ms=median.value, low_ms=median.low, high_ms=median.high, p95_ms=p95)


def text_of_length(classifier: Classifier, tokens: int) -> str:
    """Return the longest run of everyday words that does not exceed `tokens` tokens."""
    words = ("how many of the red boxes are left if " * tokens).split()
    fits = [len(clip_text(classifier.tokenizer, " ".join(words[:count]), 10 * tokens).ids) for count in range(tokens)]
    return " ".join(words[: max(count for count, length in enumerate(fits) if length <= tokens)])


def _robustness(classifier: Classifier, texts: Sequence[str], truth: Truth, options: EvaluationOptions) -> list[Flips]:
    chosen = texts[: options.robustness_prompts]
    return count_flips(chosen, truth[: len(chosen)], _decider(classifier), options.resamples) if chosen else []


def judged_easy(classifier: Classifier) -> JudgedEasy:
    """Return a function that tells which texts go to the label for prompts that need no reasoning."""
    decide, easy = _decider(classifier), easy_label(classifier.bundle.labels)
    return lambda texts: decide(texts) == easy


def _decider(classifier: Classifier) -> Decide:
    def decide(texts: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.asarray(classify(classifier, list(texts)).argmax(axis=1), dtype=np.int64)

    return decide
