"""The commands of this folder; the libraries behind them are imported when one runs, so that `--help` needs none."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
import msgspec

from export.bundle.checkpoints import DEFAULT_CHECKPOINT
from export.calibration.command import calibrate
from export.encoders.command import shrink_command
from export.evaluation.command import eval_command
from export.labelling.command import label_command
from export.labelling.rescore import rescore_command
from export.training.command import train_command

from .command_errors import shows_errors
from .errors import BundleRejected

if TYPE_CHECKING:
    from export.repository.installation import InstalledVersion, LoadModel

PRECISIONS = ("int8", "fp16", "fp32")


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where installed bundles live and which Triton serves them from there."""

    repository: Path
    triton_url: str | None
    token_variable: str

    @property
    def load(self) -> "LoadModel | None":
        from export.repository.triton_control import load_model  # noqa: PLC0415 - see the module docstring

        if self.triton_url is None:
            return None
        return functools.partial(load_model, self.triton_url, admin_token=os.environ.get(self.token_variable))


REPOSITORY = click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="SEMROUTER_REPOSITORY",
    default=".run/model_repository",
    show_default=True,
    show_envvar=True,
    help="The run-time copy of the model repository, which Triton serves.",
)


def at_destination(command: Callable[..., None]) -> Callable[..., None]:
    """Add --repository, --triton-url and --triton-token-env and hand them to the command as `destination`."""

    @REPOSITORY
    @click.option(
        "--triton-url",
        envvar="SEMROUTER_TRITON_URL",
        show_envvar=True,
        help="gRPC address of the Triton that shall load it now; without it, Triton does so when it next starts.",
    )
    @click.option(
        "--triton-token-env",
        metavar="VARIABLE",
        default="SEMROUTER_TRITON_ADMIN_TOKEN",
        show_default=True,
        help="The environment variable with the token of a Triton that guards its model control.",
    )
    @functools.wraps(command)
    def run(*, repository: Path, triton_url: str | None, triton_token_env: str, **options: Any) -> None:
        destination = Destination(repository=repository, triton_url=triton_url, token_variable=triton_token_env)
        command(destination=destination, **options)

    return run


NAME = click.option("--name", help="Classifier to install into; without it, the installed one with the same labels.")


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
    from export.bundle.bundling import BundleOptions, build_bundle  # noqa: PLC0415 - see the module docstring
    from export.bundle.checkpoints import locate_checkpoint, read_classifier_config  # noqa: PLC0415 - as above
    from export.bundle.guide_files import write_guide_files  # noqa: PLC0415 - as above
    from export.classifier.prompt_files import read_texts  # noqa: PLC0415 - as above
    from export.repository.installation import classifier_for, install_bundle, objection_to_name  # noqa: PLC0415 - as above

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
        click.echo(describe(install_bundle(Path(folder), destination.repository, classifier, destination.load)))


@click.group()
def bundle() -> None:
    """List the classifier bundles in the model repository, add one, or go back to the one before."""


@bundle.command("list")
@REPOSITORY
@shows_errors
def list_bundles(*, repository: Path) -> None:
    """Show every version of every classifier, newest last."""
    from export.repository.installation import classifier_names, installed_versions  # noqa: PLC0415 - see the module docstring

    for name in classifier_names(repository):
        for version in installed_versions(repository, name):
            click.echo(describe(version))


@bundle.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@NAME
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    envvar="SEMROUTER_CONFIG",
    show_envvar=True,
    help="The policy in force, whose labels the bundle must have.",
)
@at_destination
@shows_errors
def install(*, directory: Path, name: str | None, policy: Path | None, destination: Destination) -> None:
    """Check the bundle in DIRECTORY and install it as the next version of a classifier."""
    from export.repository.bundle_checks import check_bundle, check_policy  # noqa: PLC0415 - see the module docstring
    from export.repository.installation import classifier_for, install_bundle  # noqa: PLC0415 - as above

    labels = check_bundle(directory).labels
    classifier = name or classifier_for(destination.repository, labels)
    if policy is not None:
        check_policy(directory, labels, classifier, policy)
    click.echo(describe(install_bundle(directory, destination.repository, classifier, destination.load)))


@bundle.command()
@click.argument("name")
@at_destination
@shows_errors
def rollback(*, name: str, destination: Destination) -> None:
    """Withdraw the newest version of classifier NAME, so that the one before it serves again."""
    from export.repository.installation import rollback as withdraw_newest  # noqa: PLC0415 - see the module docstring

    click.echo(describe(withdraw_newest(destination.repository, name, destination.load)))


@bundle.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--name", help="Title of the card [the name of the classifier's folder].")
@click.option("--evaluation", type=click.Path(path_type=Path, exists=True), help="What `semrouter eval --json` wrote.")
@shows_errors
def card(*, directory: Path, name: str | None, evaluation: Path | None) -> None:
    """Print the model card of the bundle in DIRECTORY, as Markdown."""
    from export.evaluation.evaluation import Evaluation  # noqa: PLC0415 - as above
    from export.evaluation.model_card import model_card  # noqa: PLC0415 - as above
    from routing_policy.bundle import read_bundle  # noqa: PLC0415 - see the module docstring

    measured = msgspec.json.decode(evaluation.read_bytes(), type=Evaluation) if evaluation is not None else None
    click.echo(model_card(name or directory.resolve().parent.name, read_bundle(directory), measured), nl=False)


def describe(version: "InstalledVersion") -> str:
    """Return one line about an installed version."""
    state = " withdrawn" if version.withdrawn else ""
    if version.bundle is None:
        return f"{version.classifier} {version.version}{state}: bundle.json cannot be read"
    bundle = version.bundle
    return (
        f"{version.classifier} {version.version}{state}: revision {bundle.revision}, {bundle.precision},"
        f" up to {bundle.max_length} tokens, labels {', '.join(bundle.labels)}"
    )


COMMANDS: list[click.Command] = [
    export,
    bundle,
    shrink_command,
    label_command,
    train_command,
    eval_command,
    calibrate,
    rescore_command,
]
