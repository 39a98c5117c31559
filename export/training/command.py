"""`semrouter train`: labelled prompts in, a checked bundle out."""

from pathlib import Path
from typing import Any

import click

from export.command_errors import shows_errors
from export.recipe.folds import FOLDS


@click.command("train")
@click.option("--data", type=click.Path(path_type=Path), multiple=True, help="JSONL, a text and a label a line.")
@click.option("--dev", type=click.Path(path_type=Path), help="JSONL to stop by and calibrate on [a tenth of --data].")
@click.option("--label-field", default="label", show_default=True, help="The field with the label to learn.")
@click.option("--topic-field", help="A second label, learned beside the first; OUTPUT/topic holds its bundle.")
@click.option("--topics", help="The second labels in output order, comma-separated [those in --data, sorted].")
@click.option("--labels", help="The labels in output order, comma-separated [those in --data, sorted].")
@click.option("--base", help="Classifier to fine-tune: a Hugging Face checkpoint folder, or a hub id.")
@click.option(
    "--init-embeddings", type=click.Path(path_type=Path), help="BERT folder a new small classifier starts from."
)
@click.option("--teacher", type=click.Path(path_type=Path), help="BERT folder to fine-tune first and learn from.")
@click.option("--source-weight", multiple=True, metavar="SOURCE=WEIGHT", help="Take rows of this source less often.")
@click.option("--hold-out", multiple=True, metavar="SOURCE", help="Keep this source's rows out and report on them.")
@click.option(
    "--hold-out-fold",
    type=click.Choice(list(FOLDS)),
    help="Keep out the sources of this fold (export/recipe/folds.py).",
)
@click.option("--balance-labels", is_flag=True, help="Draw every label alike, however rare it is in --data.")
@click.option("--layers", type=click.IntRange(1), default=7, show_default=True, help="Of a new classifier.")
@click.option("--hidden", type=click.IntRange(8), default=256, show_default=True, help="Of a new classifier.")
@click.option("--vocabulary", type=click.IntRange(100), default=12_000, show_default=True, help="Largest.")
@click.option("--epochs", type=click.IntRange(1), default=4, show_default=True)
@click.option("--prompts-per-epoch", type=click.IntRange(2), help="Draw this many per epoch, small sources favoured.")
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), help="Peak rate [1e-3 new, 5e-5 with --base]."
)
@click.option("--pairs/--no-pairs", default=True, show_default=True, help="Learn each prompt bare and dressed alike.")
@click.option("--temperature", type=click.FloatRange(0, min_open=True), help="[the best on what is held out, or dev]")
@click.option("--topic-temperature", type=click.FloatRange(0, min_open=True), help="The same of the second label.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="int8", show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads [all]. Another number rounds differently.")
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="Folder for checkpoint/, bundle/ and report."
)
@click.option("--outcomes", type=click.Path(path_type=Path), help="Learn from these instead, with the bundle --base.")
@click.option("--strong", metavar="NAME", help="The stronger model of --outcomes [the better one].")
@click.option("--weak", metavar="NAME", help="The cheaper model of --outcomes [the other one].")
@click.option("--source", "sources", multiple=True, help="Only the outcomes of this source; may be repeated.")
@shows_errors
def train_command(**options: Any) -> None:
    """Train a prompt classifier and write it as a bundle.

    Either fine-tune a classifier (--base), or train a new small ModernBERT that starts from the token embeddings
    and vocabulary of a BERT (--init-embeddings). Examples of the project's guide are left out of the data.
    With --outcomes instead of --data, the encoder of the bundle --base stays as it is, and a new last layer learns
    which prompts gain by the stronger model.
    At the end --output holds report.html and evaluation.json on the prompts to stop by, and more on sources held out.
    """
    outcomes = {name: options.pop(name) for name in ("outcomes", "strong", "weak", "sources")}
    if outcomes["outcomes"] is not None:
        _train_on_outcomes(outcomes, options)
        return
    if not options["data"]:
        raise click.UsageError("give --data or --outcomes")
    from .run import TrainingRequest, run_training

    labels, topics = options.pop("labels"), options.pop("topics")
    weights = dict(_source_weight(text) for text in options.pop("source_weight"))
    options["hold_out"] += FOLDS.get(options.pop("hold_out_fold"), ())
    request = TrainingRequest(**options, labels=_names(labels), topics=_names(topics), source_weights=weights)
    bundle = run_training(request, click.echo)
    click.echo(f"bundle {bundle.revision} in {request.output / 'bundle'}")


def _train_on_outcomes(outcomes: dict[str, Any], options: dict[str, Any]) -> None:
    from export.outcomes.learning import train_on_outcomes
    from export.outcomes.rows import Wanted

    base, output = options["base"], options["output"]
    if options["data"] or base is None or not Path(base).is_dir():
        raise click.UsageError("--outcomes needs --base, the folder of a bundle, and no --data")
    wanted = Wanted(strong=outcomes["strong"], weak=outcomes["weak"], sources=outcomes["sources"])
    bundle = train_on_outcomes(outcomes["outcomes"], Path(base), output, wanted=wanted, report=click.echo)
    click.echo(f"bundle {bundle.revision} in {output / 'bundle'}")


def _names(text: str | None) -> list[str] | None:
    return text.split(",") if text else None


def _source_weight(text: str) -> tuple[str, float]:
    source, _, weight = text.partition("=")
    try:
        return source, float(weight)
    except ValueError as exc:
        raise click.BadParameter(f"expected SOURCE=WEIGHT, got {text!r}", param_hint="--source-weight") from exc
