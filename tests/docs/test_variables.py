"""The environment variables of the documents are those of the code."""

import re
from collections.abc import Iterator

import click
import msgspec

from local.cli import main
from router_proxy.configuration.settings import Settings
from tests.conftest import CHECKOUT

from .documents import GUIDE, REFERENCE, documents

VARIABLE = re.compile(r"\bSEMROUTER_[A-Z_]*[A-Z]\b")


def option_variables(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter.envvar, str):
            yield parameter.envvar
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            yield from option_variables(subcommand)


def variables_in(*path: str) -> set[str]:
    """Return what a file names that cannot be imported here: it runs only inside Triton or a container."""
    return set(VARIABLE.findall(CHECKOUT.joinpath(*path).read_text(encoding="utf-8")))


def known_variables() -> set[str]:
    proxy = {field.encode_name for field in msgspec.structs.fields(Settings)}
    triton = variables_in("model_repository", "semantic_router", "1", "serving", "environment.py")
    return proxy | triton | set(option_variables(main))


def test_no_document_names_a_variable_that_nothing_reads() -> None:
    named = {name for file in documents() for name in VARIABLE.findall(file.read_text(encoding="utf-8"))}

    assert named <= known_variables() | variables_in("docker", "triton", "entrypoint.py")


def test_reference_and_guide_together_name_every_variable() -> None:
    text = REFERENCE.read_text(encoding="utf-8") + GUIDE.read_text(encoding="utf-8")

    assert known_variables() <= set(VARIABLE.findall(text))
