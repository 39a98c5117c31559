"""From findings to what is read: the table with every row, the tables behind it, JSON, and the plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from .bench import Curve, Finding, Table
from .goals import Goal, Measured, Missing
from .machine import Machine
from .plot import draw
from .rounds import Estimate

_HEADINGS = ["what", "against", "mark", "value (all rounds)", "", "made of"]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `failures` says by family why its rows have no number."""

    machine: Machine
    scale: str
    findings: list[Finding]
    failures: dict[str, str]


def write_results(results: Results, goals: Sequence[Goal], directory: Path) -> str:
    """Write table, JSON and plot into `directory`; return the table."""
    directory.mkdir(parents=True, exist_ok=True)
    table = render(results, goals)
    (directory / "table.md").write_text(table, encoding="utf-8")
    (directory / "results.json").write_bytes(
        msgspec.json.format(msgspec.json.encode({"rows": verdicts(results, goals), "run": _tagged(results)})) + b"\n"
    )
    draw(
        verdicts(results, goals), [each for each in results.findings if isinstance(each, Curve)], directory / "plot.svg"
    )
    return table


def verdicts(results: Results, goals: Sequence[Goal]) -> list[dict[str, Any]]:
    """Return every row: met, short, or not measured and why."""
    found = {each.key: each for each in results.findings if isinstance(each, Measured)}
    missing = {each.key: each.reason for each in results.findings if isinstance(each, Missing)}
    return [_verdict(goal, found.get(goal.key), {**results.failures, **missing}) for goal in goals]


def render(results: Results, goals: Sequence[Goal]) -> str:
    rows = [_row(verdict) for verdict in verdicts(results, goals)]
    parts = [f"{_machine(results)}\n", markdown(_HEADINGS, rows)]
    tables = (each for each in results.findings if isinstance(each, Table))
    parts += [f"\n**{table.title}**\n\n{markdown(table.headings, table.rows)}" for table in tables]
    return "\n".join(parts)


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _verdict(goal: Goal, found: Measured | None, failures: Mapping[str, str]) -> dict[str, Any]:
    row = {"key": goal.key, "what": goal.what, "against": goal.against, "mark": goal.mark, "limit": goal.limit}
    if found is None:
        reason = failures.get(goal.key) or failures.get(goal.family, "the family ended without it")
        return {**row, "verdict": "not measured", "detail": reason, "unit": goal.unit}
    verdict = "met" if goal.is_met_by(found.value.value) else "short"
    return {**row, "verdict": verdict, "value": found.value, "detail": found.detail, "unit": goal.unit}


def _row(verdict: Mapping[str, Any]) -> list[str]:
    value = _estimate(verdict["value"], verdict["unit"] or "x") if "value" in verdict else ""
    return [verdict["what"], verdict["against"], verdict["mark"], value, verdict["verdict"], verdict["detail"]]


def _estimate(estimate: Estimate, unit: str) -> str:
    return f"{estimate.value:.3g} {unit} ({estimate.low:.3g}-{estimate.high:.3g})"


def _machine(results: Results) -> str:
    machine = results.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return (
        f"{results.scale} set; {machine.processor}, {machine.cores} cores, {machine.memory_gib:g} GiB, Linux "
        f"{machine.kernel}, Python {machine.python}, {packages}; commit {machine.commit}; load before the run "
        f"{machine.load_before:g}. A value is the median over the rounds, with the least and the largest."
    )


def _tagged(results: Results) -> dict[str, Any]:
    return {
        "machine": results.machine,
        "scale": results.scale,
        "failures": results.failures,
        "tables": [each for each in results.findings if isinstance(each, Table)],
        "curves": [each for each in results.findings if isinstance(each, Curve)],
    }
