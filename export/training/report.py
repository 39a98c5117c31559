"""How good what was trained is: the evaluation of the finished bundle, and before and after on the same rows."""

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from export.classifier.inference import classify, open_classifier
from export.classifier.prompt_files import EvaluationRow
from export.evaluation.baselines import label_indices
from export.evaluation.evaluation import EvaluationOptions, evaluate
from export.evaluation.metrics import METRICS, Figure, Scores, Truth, difference_with_interval, with_interval
from export.evaluation.report import METRIC_NAMES, html_report, short_tables
from export.pages.html_page import Table, text_table

from .course import Course, Student, score
from .data import LabelledPrompt
from .loop import Report
from .networks import StudentNetwork

COMPARED = ("accuracy", "macro_f1", "ece")
RESAMPLES = 1000
BASELINE_PROMPTS = 5000


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the classifier that training started from, of the bundle, and their difference on the same rows."""

    metric: str
    before: Figure
    after: Figure
    difference: Figure


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Prompts that were not trained on, the file that keeps them, and where the report on them goes."""

    prompts: list[LabelledPrompt]
    file: Path
    evaluation: Path
    page: Path
    note: str = ""
    before: Scores | None = None  # [prompts, labels], of the classifier that training started from


def score_before(course: Course, student: Student, prompts: Sequence[LabelledPrompt]) -> Scores:
    """Return what a classifier that is not trained yet says, float64 [prompts, labels]."""
    network = StudentNetwork(student.classifier, len(course.labels))
    logits, _ = score(course, network, student.tokenizer, prompts)
    return np.asarray(logits.double().softmax(-1).numpy())


def report_on_bundle(bundle: Path, course: Course, measured: Measured, report: Report) -> None:
    """Evaluate the bundle on prompts it was not trained on, write both forms of the report and tell what matters."""
    rows, training = evaluation_rows(measured.prompts), evaluation_rows(_some(course.prompts))
    options = EvaluationOptions(resamples=RESAMPLES)
    evaluation = evaluate(bundle, rows, measured.file.name, training=training, options=options)
    changes = [] if measured.before is None else _changes(bundle, rows, measured.before)
    content = {**msgspec.to_builtins(evaluation), "against_base": changes}
    measured.evaluation.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    compared = [_change_table(changes)] if changes else []
    measured.page.write_text(html_report(evaluation, compared), encoding="utf-8")
    report(f"\n{len(rows)} prompts of {measured.file}{measured.note}:")
    for table in [*short_tables(evaluation), *compared]:
        report(f"\n{text_table(table)}")
    if len(course.prompts) > BASELINE_PROMPTS:
        report(f"\nwhat learns here did so from {BASELINE_PROMPTS:,} of the {len(course.prompts):,} training prompts")
    report(f"\n{measured.page} has the rest")


def _some(prompts: Sequence[LabelledPrompt]) -> Sequence[LabelledPrompt]:
    """Return what the baselines learn from: word bags of tens of thousands of prompts take as long as an epoch."""
    if len(prompts) <= BASELINE_PROMPTS:
        return prompts
    return random.Random(0).sample(prompts, BASELINE_PROMPTS)  # noqa: S311 - repeatable, nothing secret


def evaluation_rows(prompts: Sequence[LabelledPrompt]) -> list[EvaluationRow]:
    return [
        EvaluationRow(text=each.text, label=each.label, source=each.source or "unnamed", language=each.language)
        for each in prompts
    ]


def _changes(bundle: Path, rows: Sequence[EvaluationRow], before: Scores) -> list[Change]:
    classifier = open_classifier(bundle)
    after = classify(classifier, [row.text for row in rows])
    truth = label_indices(rows, classifier.bundle.labels)
    return [_change(name, before, after, truth) for name in COMPARED]


def _change(name: str, before: Scores, after: Scores, truth: Truth) -> Change:
    metric = METRICS[name]
    return Change(
        metric=name,
        before=with_interval(metric, before, truth, RESAMPLES),
        after=with_interval(metric, after, truth, RESAMPLES),
        difference=difference_with_interval(metric, before, after, truth, resamples=RESAMPLES),
    )


def _change_table(changes: Sequence[Change]) -> Table:
    """Show percent and, for a difference, points."""
    rows = [
        (
            METRIC_NAMES[each.metric],
            f"{100 * each.before.value:.1f} %",
            f"{100 * each.after.value:.1f} %",
            f"{100 * each.difference.value:+.1f}",
            f"{100 * each.difference.low:+.1f} to {100 * each.difference.high:+.1f}",
        )
        for each in changes
    ]
    heading = ("figure", "before", "after", "points", "interval")
    return Table(title="Against the classifier it started from", heading=heading, rows=rows)
