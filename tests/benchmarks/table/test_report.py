"""Every row has a verdict, whatever was measured."""

from pathlib import Path

import pytest

from benchmarks.__main__ import FAMILIES
from benchmarks.table.bench import Curve, Table
from benchmarks.table.goals import GOALS, Goal, Measured, Missing
from benchmarks.table.machine import Machine
from benchmarks.table.report import Results, verdicts, write_results
from benchmarks.table.rounds import Estimate

MACHINE = Machine(
    processor="a processor",
    cores=2,
    memory_gib=8,
    kernel="6",
    python="3.11",
    packages={"numpy": "1.26"},
    commit="abc",
    load_before=0.1,
)
FAST = Goal(key="tea.fast", family="tea", what="tea", against="coffee", must_be="at most", limit=2)
MUCH = Goal(key="tea.much", family="tea", what="tea", against="water", must_be="at least", limit=2)


def results(*findings: Measured | Missing | Table | Curve, **failures: str) -> Results:
    return Results(machine=MACHINE, scale="quick", findings=list(findings), failures=failures)


def measured(key: str, value: float) -> Measured:
    return Measured(key=key, value=Estimate(value=value, low=value, high=value))


@pytest.mark.parametrize(
    ("goal", "value", "expected"),
    [
        pytest.param(FAST, 2.0, "met", id="at most, just"),
        pytest.param(FAST, 2.1, "short", id="at most, more"),
        pytest.param(MUCH, 2.0, "met", id="at least, just"),
        pytest.param(MUCH, 1.9, "short", id="at least, less"),
    ],
)
def test_a_row_is_met_or_short(goal: Goal, value: float, expected: str) -> None:
    (row,) = verdicts(results(measured(goal.key, value)), [goal])

    assert row["verdict"] == expected


def test_a_row_without_a_number_says_why_before_its_family_does() -> None:
    run = results(Missing(key="tea.fast", reason="no kettle"), tea="no kitchen")

    found = verdicts(run, [FAST, MUCH])

    assert [(row["verdict"], row["detail"]) for row in found] == [
        ("not measured", "no kettle"),
        ("not measured", "no kitchen"),
    ]


def test_table_json_and_plot_are_written(tmp_path: Path) -> None:
    table = Table(title="Leaves", headings=["kind", "g"], rows=[["green", "3"]])
    curve = Curve(title="cups", size="guests", cost="minutes", points=[(1, 2), (10, 20)])

    text = write_results(results(measured("tea.fast", 1.5), table, curve), [FAST, MUCH], tmp_path)

    assert "| tea | coffee | ≤ 2 x | 1.5 x (1.5-1.5) | met |  |" in text
    assert "| green | 3 |" in text
    assert sorted(file.name for file in tmp_path.iterdir()) == ["plot.svg", "results.json", "table.md"]


def test_every_family_has_rows_and_every_row_a_family() -> None:
    assert {goal.family for goal in GOALS} == set(FAMILIES)
