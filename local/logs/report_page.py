"""A report as a page for people."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from export.pages.html_page import Plot, Table, html_page
from export.pages.plots import Line, line_plot, stacked_bars

from .prices import TargetPrice, cost, cost_change
from .report import Period, Report
from .token_estimate import Flow, TokenEstimate

Prices = Mapping[str, TargetPrice]
_DAY_SECONDS = 86_400
_DAMAGED_NAMED = 10
_HIGHEST_SHARES = (0.01, 0.05, 0.2, 0.5, 1.0)
_TICKS = (0, 0.25, 0.5, 0.75, 1)
_NO_PRICE = "no price"


def report_page(report: Report, prices: Prices) -> str:
    return html_page(headline(report), _plots(report), _tables(report, prices), _notes(report, prices))


def headline(report: Report) -> str:
    return f"{report.requests:,} requests from {_time(report.first)} to {_time(report.last)} UTC"


def _notes(report: Report, prices: Prices) -> list[str]:
    notes = []
    if report.damaged:
        more = ", …" if len(report.damaged) > _DAMAGED_NAMED else ""
        named = ", ".join(report.damaged[:_DAMAGED_NAMED]) + more
        notes.append(f"Lines cut short, by a crash or a full disk, and left out: {len(report.damaged):,} ({named}).")
    shadowed = sum(report.shadowed.values())
    if shadowed:
        stays = sum(count for (served, target), count in report.shadowed.items() if served == target)
        notes.append(f"Of {shadowed:,} shadow requests judged, {_share(stays, shadowed)} went where they belong.")
    if report.not_judged:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(report.not_judged.items()))
        notes.append(f"Shadow requests without a decision: {sum(report.not_judged.values()):,} ({reasons}).")
    unpriced = sorted({target for target, _ in report.ledgers} - prices.keys()) if prices else []
    if unpriced:
        notes.append(f"Without a price: {', '.join(unpriced)}.")
    return notes


def _plots(report: Report) -> list[Plot]:
    plots = []
    if report.confidence:
        bars = stacked_bars(sorted(report.confidence.items()), "confidence", "decisions")
        plots.append(("How sure the decisions were, by winner", bars))
    if report.periods:
        plots.append(("Abstained and failed open, of the requests that needed a decision", _over_time(report.periods)))
    return plots


def _over_time(periods: Sequence[Period]) -> str:
    first, last = periods[0].start, periods[-1].start
    abstained = [each.abstained / each.needed for each in periods]
    failed_open = [each.failed_open / each.needed for each in periods]
    highest = next(share for share in _HIGHEST_SHARES if share >= max(abstained + failed_open))
    across = [(each.start - first) / ((last - first) or 1) for each in periods]
    return line_plot(
        [
            Line(name="abstained", points=[(x, share / highest) for x, share in zip(across, abstained, strict=True)]),
            Line(
                name="failed open", points=[(x, share / highest) for x, share in zip(across, failed_open, strict=True)]
            ),
        ],
        "time (UTC)",
        "share",
        x_ticks=[_short_time(first + tick * (last - first), last - first) for tick in _TICKS],
        y_ticks=[f"{100 * tick * highest:g} %" for tick in _TICKS],
    )


def _tables(report: Report, prices: Prices) -> list[Table]:
    found = [
        _by_mode("Where requests went", "answered by", report.answered),
        _counted("Where the router sent them, and why", ("target", "rationale"), report.decided),
        _counted("Shadow: where requests went and would have gone", ("answered by", "router says"), report.shadowed),
        _by_mode("How requests ended", "outcome", report.outcomes),
        _ledger(report.ledgers, prices),
        _shadow_ledger(report, prices),
        _counted("Policies and classifiers that decided", ("policy", "classifier and revision"), report.judges),
    ]
    return [table for table in found if table.rows]


def _counted(title: str, names: tuple[str, str], counts: Mapping[tuple[str, str], int]) -> Table:
    total = sum(counts.values())
    rows = [(*pair, f"{count:,}", _share(count, total)) for pair, count in sorted(counts.items(), key=_largest_first)]
    return Table(title=title, heading=(*names, "requests", "share"), rows=rows)


def _largest_first(item: tuple[str | tuple[str, str], int]) -> tuple[int, str | tuple[str, str]]:
    return -item[1], item[0]


def _by_mode(title: str, name: str, counts: Mapping[tuple[str, str], int]) -> Table:
    """Cross what is counted with the modes; `counts` has pairs of both."""
    modes = sorted({mode for _, mode in counts})
    totals: Counter[str] = Counter()
    for (key, _), count in counts.items():
        totals[key] += count
    rows = [
        (key, f"{total:,}", _share(total, totals.total()), *(f"{counts.get((key, mode), 0):,}" for mode in modes))
        for key, total in sorted(totals.items(), key=_largest_first)
    ]
    return Table(title=title, heading=(name, "requests", "share", *(f"mode {mode}" for mode in modes)), rows=rows)


def _ledger(ledgers: Mapping[tuple[str, str], Flow], prices: Prices) -> Table:
    rows = [
        (
            target,
            mode,
            f"{ledger.requests:,}",
            f"{ledger.with_usage:,}",
            f"{ledger.prompt_tokens:,}",
            f"{ledger.completion_tokens:,}",
            *([_priced(target, ledger, prices)] if prices else []),
        )
        for (target, mode), ledger in sorted(ledgers.items())
    ]
    heading = ("target", "mode", "requests", "with usage", "prompt tokens", "completion tokens")
    return Table(title="Tokens", heading=(*heading, *(["cost"] if prices else [])), rows=rows)


def _priced(target: str, ledger: Flow, prices: Prices) -> str:
    price = prices.get(target)
    return _NO_PRICE if price is None else _money(cost(price, ledger.prompt_tokens, ledger.completion_tokens))


def _shadow_ledger(report: Report, prices: Prices) -> Table:
    """Show what all traffic took, and what it would have taken had shadow mode been in force."""
    tokens = report.tokens if report.shadowed else ()
    rows = [
        (
            each.target,
            *(f"{count:,}" for count in (each.prompt_before, each.prompt_after)),
            *(f"{count:,}" for count in (each.completion_before, each.completion_after)),
        )
        for each in tokens
    ]
    if tokens and (total := _cost_of(tokens, prices)):
        rows.append(("cost", "", "", *total))
    heading = ("target", "prompt tokens", "if routed", "completion tokens", "if routed")
    return Table(
        title=f"Had shadow requests been routed: an estimate from the {report.estimated:,} requests with usage;"
        " one that moves writes as much as is usual where it goes",
        heading=heading,
        rows=rows,
    )


def _cost_of(tokens: Iterable[TokenEstimate], prices: Prices) -> tuple[str, str] | None:
    if not {each.target for each in tokens} <= prices.keys():
        return None
    change = cost_change(tokens, dict(prices))
    return _money(change.before), _money(change.after)


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:,.4f}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _short_time(seconds: float, span_seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M" if span_seconds < 2 * _DAY_SECONDS else "%d %b")
