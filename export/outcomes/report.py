"""What outcomes say, as tables: once for the terminal, once as a self-contained HTML page with plots."""

import math

from export.evaluation.metrics import Figure
from export.pages.html_page import Plot, Table, html_page, text_table
from export.pages.plots import Line, line_plot

from .curve import excludes_zero
from .evaluation import Group, OutcomeReport, RankingFigures, no_better

HALF_CHANCE = 0.5


def text_report(report: OutcomeReport) -> str:
    parts = [_headline(report), *_notes(report)]
    return "\n\n".join([*parts, *(text_table(table) for group in report.groups for table in tables(group, report))])


def html_report(report: OutcomeReport) -> str:
    found = [table for group in report.groups for table in tables(group, report)]
    return html_page(_headline(report), _plots(report), found, _notes(report))


def verdict(group: Group) -> str:
    """Say in a sentence whether the classifier beats chance, and random calls at the same share."""
    figures = group.rankings[0]
    interval = f"APGR {plain(figures.apgr)}"
    if figures.apgr.low > HALF_CHANCE:
        return f"better than chance: {interval}"
    if figures.apgr.high < HALF_CHANCE:
        return f"WORSE than chance: {interval}"
    return f"not distinguishable from chance: {interval}"


def tables(group: Group, report: OutcomeReport) -> list[Table]:
    first = f"{group.name}, {group.rows} rows"
    return [
        Table(
            title=f"{first}: {verdict(group)}",
            heading=("", "value", "interval"),
            rows=[
                ("quality of the stronger model alone", *percent(group.strong_quality)),
                ("quality of the cheaper model alone", *percent(group.weak_quality)),
                *_cutoff_rows(group, report),
            ],
        ),
        Table(
            title=f"{first}: ranked by",
            heading=(
                *("ranking", "APGR", "interval", "CPT(50)", "interval", "CPT(80)", "interval"),
                *(("APGR by cost", "interval") if report.cost_unit else ()),
                *("the first is better by", "interval"),
            ),
            rows=[_ranking_row(each, report, is_first=each is group.rankings[0]) for each in group.rankings],
        ),
    ]


def plain(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def percent(figure: Figure) -> tuple[str, str]:
    return f"{100 * figure.value:.1f} %", f"{100 * figure.low:.1f} to {100 * figure.high:.1f} %"


def _headline(report: OutcomeReport) -> str:
    return f"Outcomes: {report.classifier} on {report.rows} rows of {report.data}"


def _notes(report: OutcomeReport) -> list[str]:
    left_out = f"{report.left_out} rows marked in_our_training were left out" if report.left_out else ""
    warnings = [f"WARNING: {reason}" for group in report.groups if (reason := no_better(group))]
    return [note for note in (*report.notes, left_out, *warnings) if note]


def _cutoff_rows(group: Group, report: OutcomeReport) -> list[tuple[str, str, str]]:
    at = group.at_cutoff
    rows = [
        (f"sent to the stronger model by {report.cutoff}", *percent(at.share)),
        ("quality then", *percent(at.quality)),
        ("quality with as many sent at random", *percent(at.random_quality)),
        ("better than random by (points)", *_points(at.better_by)),
    ]
    if report.cost_unit is not None:
        rows.append((f"share of the extra {report.cost_unit} it takes", *percent(at.cost_share)))
    return rows


def _ranking_row(figures: RankingFigures, report: OutcomeReport, *, is_first: bool) -> tuple[str, ...]:
    return (
        figures.name,
        *_number(figures.apgr),
        *percent(figures.calls_for_half),
        *percent(figures.calls_for_most),
        *(_number(figures.apgr_by_cost) if report.cost_unit else ()),
        *(("", "") if is_first else _number(figures.behind, signed=True)),
    )


def _number(figure: Figure, *, signed: bool = False) -> tuple[str, str]:
    form = "+.3f" if signed else ".3f"
    unsure = " *" if signed and excludes_zero(figure) else ""
    return f"{figure.value:{form}}{unsure}", f"{figure.low:{form}} to {figure.high:{form}}"


def _points(figure: Figure) -> tuple[str, str]:
    return f"{100 * figure.value:+.1f}", f"{100 * figure.low:+.1f} to {100 * figure.high:+.1f}"


def _plots(report: OutcomeReport) -> list[Plot]:
    found = []
    for group in report.groups:
        by_cost = group.by_cost if report.cost_unit else {}
        for curves, across in ((group.by_calls, "calls"), (by_cost, f"extra {report.cost_unit}")):
            if drawn := [Line(name=name, points=_drawn(points)) for name, points in sorted(curves.items()) if points]:
                plot = line_plot(drawn, f"share of {across} to the stronger model", "quality")
                found.append((f"{group.name}: quality over {across}", plot))
    return found


def _drawn(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(y)]
