"""Tables and plots as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from collections.abc import Sequence
from html import escape

import msgspec

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #0f172a; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
th { border-bottom: 1px solid #cbd5e1; font-weight: 600; } td + td { font-variant-numeric: tabular-nums; }
svg text { font: 11px system-ui, sans-serif; fill: #334155; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); } figure { margin: 0; }
"""

# A title and an SVG.
Plot = tuple[str, str]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A titled table of texts; the first row of `rows` is not a heading."""

    title: str
    heading: Sequence[str]
    rows: Sequence[Sequence[str]]


def html_page(headline: str, plots: Sequence[Plot], tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    title = escape(headline)
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    drawn = "".join(f"<figure><h2>{escape(name)}</h2>{plot}</figure>" for name, plot in plots)
    body = "".join(f"<h2>{escape(table.title)}</h2>{_html_table(table)}" for table in tables)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>{said}"
        f'<div class="plots">{drawn}</div>{body}</body></html>\n'
    )


def text_table(table: Table) -> str:
    rows = [table.heading, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([table.title, "-" * len(table.title), *lines])


def _html_table(table: Table) -> str:
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in table.heading)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<table><tr>{heading}</tr>{rows}</table>"
