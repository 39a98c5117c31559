"""`semrouter export`: a Hugging Face checkpoint becomes a bundle, installed or left in a folder."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from export.bundle.install_commands import NAME, Destination, at_destination, describe
from export.command_errors import shows_errors
from export.errors import BundleRejected

from .checkpoints import DEFAULT_CHECKPOINT

PRECISIONS = ("int8", "fp16", "fp32")


@click.command()
@click.argument("model", default=DEFAULT_CHECKPOINT)
@click.option("--revision", help="Branch, tag or commit of a hub model.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Leave model.onnx, tokenizer.json and config.json in this folder instead of installing.",
)
@NAME
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="int8",
    show_default=True,
    help="int8 is a quarter of the size and fastest on CPUs; fp16 is for GPUs; fp32 keeps to standard ONNX operators.",
)
@click.option(
    "--prompts", type=click.Path(path_type=Path), help="JSONL with texts to check the graph on, before those that ship."
)
@click.option("--max-length", type=click.IntRange(8), default=256, show_default=True, help="Tokens looked at, at most.")
@click.option("--labels", help="Labels in the order of the outputs, comma-separated, if config.json has none.")
@at_destination
@shows_errors
def export(  # noqa: PLR0913 - one argument per option
    *,
    model: str,
    revision: str | None,
    output: Path | None,
    name: str | None,
    precision: Any,
    prompts: Path | None,
    max_length: int,
    labels: str | None,
    destination: Destination,
) -> None:
    """Export a Hugging Face sequence classifier, check it against PyTorch and install it as the next version.

    MODEL is a hub id or a local folder.
    """
    from export.classifier.prompt_files import read_texts
    from export.repository.installation import classifier_for, install_bundle, objection_to_name

    from .bundling import BundleOptions, build_bundle
    from .checkpoints import locate_checkpoint, read_classifier_config
    from .gpu_graph import write_gpu_graph
    from .guide_files import write_guide_files

    checkpoint = locate_checkpoint(model, revision)
    options = BundleOptions(
        precision=precision,
        max_length=max_length,
        labels=labels.split(",") if labels is not None else None,
        prompts=read_texts(prompts) if prompts is not None else [],
    )
    if output is not None:
        bundle = write_guide_files(checkpoint, output, options)
        click.echo(f"{model}: {', '.join(bundle.labels)}, {precision}, written to {output}")
        click.echo(f"export SEMROUTER_MODEL_PATH={output}/model.onnx SEMROUTER_TOKENIZER_PATH={output}/tokenizer.json")
        return
    found = read_classifier_config(checkpoint.directory, options.labels).labels
    classifier = name or classifier_for(destination.repository, found)
    if reason := objection_to_name(destination.repository, classifier, found):
        raise BundleRejected(model, reason)
    with TemporaryDirectory() as folder:
        build_bundle(checkpoint, Path(folder), options)
        installed = install_bundle(
            Path(folder), destination.repository, classifier, destination.load, gpu_copy=write_gpu_graph
        )
        click.echo(describe(installed))
