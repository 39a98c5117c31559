"""The plot: each row as a share of its mark, and the curves of cost against size."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .bench import Curve

_COLORS = {"met": "tab:green", "short": "tab:red"}
_COLUMNS = 3
_ROW_INCHES = 0.32
_PANEL_INCHES = 2.6
_WIDTH_INCHES = 11.0


def draw(verdicts: Sequence[Mapping[str, Any]], curves: Sequence[Curve], file: Path) -> None:
    """Write the plot as SVG: rows above, curves below. Left of the line is better than the mark."""
    measured = [verdict for verdict in verdicts if verdict["verdict"] in _COLORS]
    if not measured:
        return
    panel_rows = -(-len(curves) // _COLUMNS)
    heights = [len(measured) * _ROW_INCHES + 1, *[_PANEL_INCHES] * panel_rows]
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), _COLUMNS, height_ratios=heights)
    _bars(figure.add_subplot(grid[0, :]), measured)
    for index, curve in enumerate(curves):
        _curve(figure.add_subplot(grid[1 + index // _COLUMNS, index % _COLUMNS]), curve)
    figure.savefig(file, metadata={"Date": None})


def distance(verdict: Mapping[str, Any]) -> float:
    """Return how far a value is from its mark as a factor: below 1 is better than the mark, whichever way it points."""
    value, limit = max(verdict["value"].value, 1e-3), verdict["limit"]
    return float(limit / value if verdict["mark"].startswith("≥") else value / limit)


def _bars(axes: Axes, measured: Sequence[Mapping[str, Any]]) -> None:
    names = [f"{verdict['what']} · {verdict['against']} {verdict['mark']}" for verdict in measured]
    colors = [_COLORS[verdict["verdict"]] for verdict in measured]
    axes.barh(names, [distance(verdict) for verdict in measured], color=colors)
    axes.axvline(1, color="black")
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("distance from the mark (1 = the mark, less is better)")


def _curve(axes: Axes, curve: Curve) -> None:
    sizes, costs = zip(*curve.points, strict=True)
    axes.loglog(sizes, costs, marker="o")
    axes.set(title=curve.title, xlabel=curve.size, ylabel=curve.cost)
