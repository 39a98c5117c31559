"""Measuring a bundle on labelled prompts, as `semrouter eval` does without outcomes."""

from pathlib import Path

import click

LABEL_OPTIONS = (
    click.option(
        "--data",
        type=click.Path(path_type=Path),
        help='JSONL with a "text" and a label per line; "source" and "lang" make groups [the prompts that ship].',
    ),
    click.option("--label-field", help="The field with the label [label or binary, whichever the bundle knows]."),
    click.option(
        "--train-data", type=click.Path(path_type=Path), help="JSONL for the baselines that learn, as TF-IDF."
    ),
    click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write every figure here."),
    click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write a page with plots here."),
    click.option("--resamples", type=click.IntRange(10), default=1000, show_default=True, help="For the intervals."),
    click.option(
        "--dress-prompts",
        type=click.IntRange(0),
        default=5,
        show_default=True,
        help="Hard prompts, and as many easy ones, to put in each dress; 0 leaves that out.",
    ),
)


def report_on_labels(
    directory: Path,
    *,
    data: Path | None,
    label_field: str | None,
    train_data: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    resamples: int,
    dress_prompts: int,
) -> None:
    """Measure the bundle in DIRECTORY on labelled prompts, beside simpler ways to decide."""
    import msgspec

    from export.classifier.prompt_files import SHIPPED_PROMPTS, read_evaluation_rows
    from routing_policy.bundle import read_bundle

    from .evaluation import EvaluationOptions, evaluate
    from .report import html_report, text_report

    labels = read_bundle(directory).labels
    rows = read_evaluation_rows(data or SHIPPED_PROMPTS, labels, label_field)
    training = read_evaluation_rows(train_data, labels, label_field) if train_data else []
    name = data.name if data else "this project's own evaluation set"
    options = EvaluationOptions(resamples=resamples, dress_prompts=dress_prompts)
    evaluation = evaluate(directory, rows, name, training=training, options=options)
    click.echo(text_report(evaluation))
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(evaluation), indent=1) + b"\n")
    if html_file:
        html_file.write_text(html_report(evaluation), encoding="utf-8")
