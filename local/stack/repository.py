"""`semrouter repository`: the router as a folder to copy or mount into a Triton that is there already."""

import shutil
from importlib.metadata import version
from pathlib import Path

import click

from export.repository.serving_copy import models_with_versions, refresh_serving_copy
from local.errors import StartFailed

from .stack import CHECKOUT, SHIPPED_REPOSITORY

# What semantic_router imports beyond the standard library and NumPy, in the Python that Triton's Python backend uses.
PACKAGES = ("msgspec", "PyYAML", "tokenizers")
_CHECK = Path(__file__).with_name("installed_check.py")

GUIDE = """\
# The semantic router for a Triton you have

Needs Triton 24.10 or newer with the Python and the ONNX Runtime backend. NVIDIA's `tritonserver:*-py3` have both.

1. Copy or mount `model_repository` on a local disk of the server, and `policy.yaml` beside it. An object store
   will not do: `semantic_router` reads the tokenizer of its classifier from the folder beside its own.
2. Install the packages into the Python of the server (its Python backend ignores PYTHONPATH):

       python3 -m pip install --no-deps --requirement requirements.txt

3. Start the server with the policy in its environment, and these flags beside your own:

       SEMROUTER_CONFIG=/models/policy.yaml tritonserver --model-repository=/models/model_repository \\
{flags}

   Without `--disable-auto-complete-config` every Python model is imported twice. Leave out the `--load-model` of a
   classifier that your policy does not name.
4. Check it from inside the server's container; with `--url` it also asks for a decision:

       python3 installed_check.py --url http://localhost:8000

The flags leave model control open to whoever reaches the port. Triton's options `--http-restricted-api`
and `--grpc-restricted-protocol` close it.
"""


@click.command("repository")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="A folder to make.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="SEMROUTER_CONFIG",
    show_envvar=True,
    default=CHECKOUT / "configs" / "semantic-router-binary.yaml",
    help="The policy to put beside it. Default: configs/semantic-router-binary.yaml.",
)
def repository_command(*, output: Path, policy: Path) -> None:
    """Write a model repository, its packages, its flags and a check, for a Triton server of your own."""
    if output.exists() and any(output.iterdir()):
        raise StartFailed(f"{output}: expected a new or an empty folder")
    models = write_repository(output, policy)
    click.echo(f"{output}: {', '.join(models)}; {output / 'README.md'} says how to serve them")


def write_repository(output: Path, policy: Path) -> list[str]:
    """Write everything into `output` and return the names of the models."""
    repository = output / "model_repository"
    refresh_serving_copy(SHIPPED_REPOSITORY, repository)
    shutil.copyfile(policy, output / "policy.yaml")
    shutil.copyfile(_CHECK, output / _CHECK.name)
    pinned = [f"{package}=={version(package)}\n" for package in PACKAGES]
    (output / "requirements.txt").write_text("".join(pinned), encoding="utf-8")
    models = models_with_versions(repository)
    loaded = [f"--load-model={model}" for model in models]
    flags = ["--disable-auto-complete-config", "--model-control-mode=explicit", *loaded]
    lines = " \\\n".join(f"           {flag}" for flag in flags)
    (output / "README.md").write_text(GUIDE.format(flags=lines), encoding="utf-8")
    return models
