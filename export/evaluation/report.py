"""An evaluation as tables: once for the terminal, once as a self-contained HTML page with plots."""

from collections.abc import Sequence

from export.pages.html_page import Plot, Table, html_page, text_table
from export.pages.plots import Line, heat_map, line_plot, stacked_bars

from .dress_flips import DressFlips
from .evaluation import Evaluation, Group
from .metrics import Figure

LARGEST_GROUPS = 50
METRIC_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
}


def tables(evaluation: Evaluation) -> list[Table]:
    """Return what both forms show, in reading order."""
    found = [
        Table(
            title="Overall, with 95 % intervals",
            heading=("figure", "value", "interval"),
            rows=[(METRIC_NAMES[name], *_overall_cells(name, figure)) for name, figure in evaluation.overall.items()],
        ),
        Table(
            title="Against what else could decide",
            heading=("instead", "accuracy", "interval", "this classifier is better by", "interval"),
            rows=[(each.name, *_cells(each.accuracy), *_cells(each.margin)) for each in evaluation.baselines],
        ),
        _group_table("By length", evaluation.by_length),
        _group_table("By language", evaluation.by_language),
        _group_table("By source", evaluation.by_source),
        Table(
            title="Decisions down to the label",
            heading=("truth", *evaluation.labels),
            rows=[(label, *map(str, row)) for label, row in zip(evaluation.labels, evaluation.confusion, strict=True)],
        ),
        Table(
            title="Rewritten prompts: how often the decision flips",
            heading=("rewriting", "prompts", "flips", "interval", "accuracy before", "after"),
            rows=[
                (
                    each.name,
                    str(each.prompts),
                    *_cells(each.flips),
                    _percent(each.accuracy_before),
                    _percent(each.accuracy_after),
                )
                for each in evaluation.robustness
            ],
        ),
        _dress_table(evaluation.dresses),
        Table(
            title="One prompt alone, one CPU thread",
            heading=("tokens", "median ms", "interval", "p95 ms"),
            rows=[
                (
                    str(each.tokens),
                    f"{each.median_ms:.2f}",
                    f"{each.low_ms:.2f} to {each.high_ms:.2f}",
                    f"{each.p95_ms:.2f}",
                )
                for each in evaluation.latency
            ],
        ),
    ]
    return [table for table in found if table.rows]


def short_tables(evaluation: Evaluation) -> list[Table]:
    """Return the overall figures and the baselines, which is what a training run ends with."""
    return tables(evaluation)[:2]


def text_report(evaluation: Evaluation) -> str:
    return "\n\n".join([_headline(evaluation), *(text_table(table) for table in tables(evaluation))])


def html_report(evaluation: Evaluation, first: Sequence[Table] = ()) -> str:
    return html_page(_headline(evaluation), _plots(evaluation), [*first, *tables(evaluation)])


def _headline(evaluation: Evaluation) -> str:
    return f"Bundle {evaluation.bundle} on {evaluation.rows} prompts of {evaluation.data}"


def _plots(evaluation: Evaluation) -> list[Plot]:
    watched = evaluation.watched_label
    reliability = Line(name="", points=[(each.confidence, each.accuracy) for each in evaluation.calibration])
    shares = Line(name=f"share to {watched}", points=[(each.score, each.share) for each in evaluation.cutoffs])
    right = Line(name="right decisions", points=[(each.score, each.accuracy) for each in evaluation.cutoffs])
    return [
        (
            "Is it as sure as it is right?",
            line_plot([reliability], "confidence", "share that is right", diagonal=True),
        ),
        ("What it takes for what", heat_map(evaluation.confusion, evaluation.labels)),
        (
            f"Scores for {watched}, by true label",
            stacked_bars(list(zip(evaluation.labels, evaluation.histogram, strict=True)), "score"),
        ),
        (f"Where to cut the score for {watched}", line_plot([shares, right], "cutoff", "share")),
    ]


def _group_table(title: str, groups: Sequence[Group]) -> Table:
    """Show the largest groups; the JSON has all."""
    shown = groups[:LARGEST_GROUPS]
    more = f" (the largest {len(shown)} of {len(groups)})" if len(groups) > len(shown) else ""
    return Table(
        title=f"{title}{more}",
        heading=("group", "prompts", "accuracy", "interval"),
        rows=[(group.name, str(group.rows), *_cells(group.accuracy)) for group in shown],
    )


def _dress_table(flips: Sequence[DressFlips]) -> Table:
    return Table(
        title="Prompts in a dress training never saw: hard ones lost, easy ones raised",
        heading=("kind of dress", "dresses", "lost", "interval", "raised", "interval", "most lost", "most raised"),
        rows=[
            (
                each.kind.replace("_", " "),
                str(each.dresses),
                *_cells(each.lost),
                *_cells(each.raised),
                _percent(each.most_lost),
                _percent(each.most_raised),
            )
            for each in flips
        ],
    )


def _overall_cells(name: str, figure: Figure) -> tuple[str, str]:
    """Show what is a share as percent, and the other two as the plain numbers they are known by."""
    if name in {"auroc", "brier"}:
        return f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}"
    return _cells(figure)


def _cells(figure: Figure) -> tuple[str, str]:
    return _percent(figure.value), f"{_percent(figure.low)} to {_percent(figure.high)}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
