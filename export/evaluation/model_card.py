"""A model card written from what a bundle and its evaluation say, so that no figure in it is typed by hand."""

from collections.abc import Iterator, Mapping
from typing import Any

from export.pages.html_page import Table
from routing_policy.bundle import Bundle

from .evaluation import Evaluation
from .report import tables


def model_card(name: str, bundle: Bundle, evaluation: Evaluation | None) -> str:
    """Return the card as Markdown."""
    sections = [
        f"# {name}\n\n{_purpose(bundle)}",
        "## What it is\n\n" + _markdown(_facts(bundle)),
        "## How it was made\n\n" + _markdown(_flat_table("Source", bundle.source)),
    ]
    if bundle.figures:
        sections.append("## What was measured when it was made\n\n" + _markdown(_flat_table("Figure", bundle.figures)))
    if evaluation is not None:
        sections.append(f"## How good it is\n\nMeasured on {evaluation.rows} prompts of {evaluation.data}.")
        sections += [f"### {table.title}\n\n{_markdown(table)}" for table in tables(evaluation)]
    return "\n\n".join(sections) + "\n"


def _purpose(bundle: Bundle) -> str:
    many = "each by itself" if bundle.problem_type == "multi_label_classification" else "exactly one of them"
    return f"Judges which of the labels {', '.join(bundle.labels)} a prompt deserves, {many}, to choose a model for it."


def _facts(bundle: Bundle) -> Table:
    rows = [
        ("revision", bundle.revision),
        ("labels", ", ".join(bundle.labels)),
        ("precision", bundle.precision),
        ("tokens looked at", f"at most {bundle.max_length}: the first half and the last half of longer texts"),
        ("temperature", f"{bundle.temperature:g}"),
        *((f"SHA-256 of {file}", digest) for file, digest in sorted(bundle.files.items())),
    ]
    return Table(title="", heading=("property", "value"), rows=rows)


def _flat_table(heading: str, values: Mapping[str, Any]) -> Table:
    return Table(title="", heading=(heading.lower(), "value"), rows=list(_flat(values)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested mappings with their path in words."""
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}, ")
        elif isinstance(value, list):
            yield name, ", ".join(map(_plain, value))
        else:
            yield name, _plain(value)


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _markdown(table: Table) -> str:
    lines = [table.heading, ["---"] * len(table.heading), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
