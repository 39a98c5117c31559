"""`semrouter bundle`: list, install, roll back and describe the classifiers in a model repository."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from export.command_errors import shows_errors

if TYPE_CHECKING:
    from export.repository.installation import InstalledVersion, LoadModel


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where installed bundles live and which Triton serves them from there."""

    repository: Path
    triton_url: str | None
    token_variable: str

    @property
    def load(self) -> "LoadModel | None":
        from export.repository.triton_control import load_model
        from export.repository.triton_flags import read_token

        if self.triton_url is None:
            return None
        token = os.environ.get(self.token_variable) or read_token(self.repository)
        return functools.partial(load_model, self.triton_url, admin_token=token)


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
        help="Variable with Triton's token for model control; without it, the file triton-token beside the repository.",
    )
    @functools.wraps(command)
    def run(*, repository: Path, triton_url: str | None, triton_token_env: str, **options: Any) -> None:
        destination = Destination(repository=repository, triton_url=triton_url, token_variable=triton_token_env)
        command(destination=destination, **options)

    return run


NAME = click.option("--name", help="Classifier to install into; without it, the installed one with the same labels.")


@click.group()
def bundle() -> None:
    """List the classifier bundles in the model repository, add one, or go back to the one before."""


@bundle.command("list")
@REPOSITORY
@shows_errors
def list_bundles(*, repository: Path) -> None:
    """Show every version of every classifier, newest last."""
    from export.repository.installation import classifier_names, installed_versions

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
    from export.repository.bundle_checks import check_bundle, check_policy
    from export.repository.installation import classifier_for, install_bundle

    from .gpu_graph import write_gpu_graph

    labels = check_bundle(directory).labels
    classifier = name or classifier_for(destination.repository, labels)
    if policy is not None:
        check_policy(directory, labels, classifier, policy)
    installed = install_bundle(
        directory, destination.repository, classifier, destination.load, gpu_copy=write_gpu_graph
    )
    click.echo(describe(installed))


@bundle.command()
@click.argument("name")
@at_destination
@shows_errors
def rollback(*, name: str, destination: Destination) -> None:
    """Withdraw the newest version of classifier NAME, so that the one before it serves again."""
    from export.repository.installation import rollback as withdraw_newest

    click.echo(describe(withdraw_newest(destination.repository, name, destination.load)))


@bundle.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--name", help="Title of the card [the name of the classifier's folder].")
@click.option("--evaluation", type=click.Path(path_type=Path, exists=True), help="What `semrouter eval --json` wrote.")
@shows_errors
def card(*, directory: Path, name: str | None, evaluation: Path | None) -> None:
    """Print the model card of the bundle in DIRECTORY, as Markdown."""
    from export.evaluation.evaluation import Evaluation
    from export.evaluation.model_card import model_card
    from routing_policy.bundle import read_bundle

    measured = msgspec.json.decode(evaluation.read_bytes(), type=Evaluation) if evaluation is not None else None
    click.echo(model_card(name or directory.resolve().parent.name, read_bundle(directory), measured), nl=False)


@bundle.command()
@click.argument("repository", type=click.Path(path_type=Path, exists=True, file_okay=False))
@shows_errors
def gpu(*, repository: Path) -> None:
    """Make the model repository at REPOSITORY right for GPUs as well: an fp16 copy of each classifier's graph.

    Each copy is checked against the graph it is made of, on the processor; config.pbtxt names it for every GPU that
    computes in fp16. Instances on a processor go on serving the int8 graph.
    """
    from export.repository.installation import classifier_names, installed_versions
    from export.repository.triton_config import CONFIG_FILE, with_gpu_file

    from .gpu_graph import GPU_FILE, write_gpu_graph

    for name in classifier_names(repository):
        for version in installed_versions(repository, name):
            made = write_gpu_graph(version.directory)
            change = max(made.against_int8.largest_score_change, made.against_fp32.largest_score_change)
            place = version.directory / GPU_FILE
            click.echo(f"{place}: largest change of a score {change:.3f} on {made.against_int8.prompts:,} prompts")
        config = repository / name / CONFIG_FILE
        config.write_text(with_gpu_file(config.read_text(encoding="utf-8"), GPU_FILE), encoding="utf-8")


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
