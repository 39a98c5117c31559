"""Plots of an evaluation as inline SVG, without a plotting library or a script in the page."""

from collections.abc import Sequence
from html import escape

import msgspec

WIDTH, HEIGHT, MARGIN = 420, 280, 42
COLOURS = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#db2777", "#475569")
TICKS = ("0", "0.25", "0.5", "0.75", "1")
Point = tuple[float, float]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One curve through points whose coordinates lie in 0..1."""

    name: str
    points: Sequence[Point]


def line_plot(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    diagonal: bool = False,
    x_ticks: Sequence[str] = TICKS,
    y_ticks: Sequence[str] = TICKS,
) -> str:
    """Draw curves over the unit square; `diagonal` marks where both axes agree.

    Ticks stand at 0, 0.25, 0.5, 0.75 and 1, whatever they are called.
    """
    drawn = [_axes(x_label, y_label, x_ticks, y_ticks)]
    if diagonal:
        drawn.append(f'<line {_ends((0, 0), (1, 1))} stroke="#94a3b8" stroke-dasharray="4 4"/>')
    for index, line in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in line.points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="2.5" fill="{colour}"/>' for x, y in line.points]
    return _svg([*drawn, *_legend([line.name for line in lines])])


def stacked_bars(series: Sequence[tuple[str, Sequence[int]]], x_label: str, counted: str = "rows") -> str:
    """Draw one bar per position, the series stacked; bars span 0..1 on the horizontal axis."""
    totals = [sum(column) for column in zip(*(values for _, values in series), strict=True)]
    tallest, bars = max(totals, default=0) or 1, len(totals) or 1
    drawn = [_axes(x_label, f"{counted} (highest bar {tallest})")]
    for position in range(len(totals)):
        base = 0
        for index, (_, values) in enumerate(series):
            height = values[position] / tallest
            left, top = _x(position / bars), _y(base / tallest + height)
            drawn.append(
                f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{(_x(1) - _x(0)) / bars - 2:.1f}"'
                f' height="{_y(0) - _y(height):.1f}" fill="{COLOURS[index % len(COLOURS)]}"/>'
            )
            base += values[position]
    return _svg([*drawn, *_legend([name for name, _ in series])])


def heat_map(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Draw a confusion matrix: truth down, decision across, shaded by the share of the row."""
    width, size, left = 96, 64, 130
    drawn = [
        f'<text x="{left + width * (column + 0.5)}" y="20" text-anchor="middle">{escape(label)}</text>'
        for column, label in enumerate(labels)
    ]
    for row, (label, values) in enumerate(zip(labels, counts, strict=True)):
        top = 30 + size * row
        drawn.append(f'<text x="{left - 8}" y="{top + size / 2 + 4}" text-anchor="end">{escape(label)}</text>')
        for column, count in enumerate(values):
            shade = count / (sum(values) or 1)
            x = left + width * column
            drawn.append(
                f'<rect x="{x}" y="{top}" width="{width - 2}" height="{size - 2}" fill="#2563eb"'
                f' fill-opacity="{0.06 + 0.8 * shade:.2f}"/>'
                f'<text x="{x + width / 2}" y="{top + size / 2 + 4}" text-anchor="middle">{count}</text>'
            )
    across, down = left + width * len(labels), 30 + size * len(labels)
    return f'<svg viewBox="0 0 {across} {down}" width="{across}" role="img">{"".join(drawn)}</svg>'


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">{"".join(parts)}</svg>'


def _axes(x_label: str, y_label: str, x_ticks: Sequence[str] = TICKS, y_ticks: Sequence[str] = TICKS) -> str:
    ticks = "".join(
        f'<text x="{_x(at):.1f}" y="{_y(0) + 15:.1f}" text-anchor="middle">{escape(across)}</text>'
        f'<text x="{_x(0) - 6:.1f}" y="{_y(at) + 4:.1f}" text-anchor="end">{escape(up)}</text>'
        for at, across, up in zip((0, 0.25, 0.5, 0.75, 1), x_ticks, y_ticks, strict=True)
    )
    return (
        f'<line {_ends((0, 0), (1, 0))} stroke="#334155"/><line {_ends((0, 0), (0, 1))} stroke="#334155"/>{ticks}'
        f'<text x="{_x(0.5):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text x="{_x(0):.1f}" y="12">{escape(y_label)}</text>'
    )


def _legend(names: Sequence[str]) -> list[str]:
    if len(names) < 2:  # noqa: PLR2004 - one curve needs no legend
        return []
    return [
        f'<rect x="{WIDTH - 150}" y="{18 + 16 * index}" width="10" height="10" fill="{COLOURS[index % len(COLOURS)]}"/>'
        f'<text x="{WIDTH - 136}" y="{27 + 16 * index}">{escape(name)}</text>'
        for index, name in enumerate(names)
    ]


def _ends(start: Point, end: Point) -> str:
    return f'x1="{_x(start[0]):.1f}" y1="{_y(start[1]):.1f}" x2="{_x(end[0]):.1f}" y2="{_y(end[1]):.1f}"'


def _x(value: float) -> float:
    return MARGIN + value * (WIDTH - 2 * MARGIN)


def _y(value: float) -> float:
    return HEIGHT - MARGIN - value * (HEIGHT - 2 * MARGIN)
