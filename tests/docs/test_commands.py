"""Every command that the documents name exists, with the options they give it."""

import re
import shlex

import click
import pytest

from local.cli import main
from tests.conftest import CHECKOUT

from .documents import Block, all_blocks, documents, indented_lines, inline_code, shell_commands

SEMROUTER = re.compile(r"^(?:\w+=\S+ +)*(?:\.venv/bin/)?semrouter(?: (?P<arguments>.*))?$")
MAKE = re.compile(r"^(?:\w+=\S+ +)*make (?P<arguments>.+)$")
TARGETS = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z_]+) \?=", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def named_commands(pattern: re.Pattern[str]) -> list[str]:
    """Return the arguments of every command line, in blocks and in prose, that matches."""
    shell: list[Block] = all_blocks("bash", "sh", "console")
    in_blocks = (command for block in shell for command in shell_commands(block))
    in_prose = (code for file in documents() for code in (*inline_code(file), *indented_lines(file)))
    return sorted({match["arguments"] or "" for line in [*in_blocks, *in_prose] if (match := pattern.match(line))})


def resolve(arguments: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that `arguments` name and what is left for it."""
    command: click.Command = main
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        found = command.commands.get(arguments[0])
        assert found is not None, f"no command {arguments[0]!r}"
        command, arguments = found, arguments[1:]
    return command, arguments


@pytest.mark.parametrize("line", named_commands(SEMROUTER))
def test_a_semrouter_command_exists_with_its_options(line: str) -> None:
    command, arguments = resolve(shlex.split(line.partition("|")[0], comments=True))
    context = click.Context(command, info_name=command.name)

    _, left, _ = command.make_parser(context).parse_args(args=arguments)

    assert left == []


@pytest.mark.parametrize("line", named_commands(MAKE))
def test_a_make_command_names_targets_and_variables_that_exist(line: str) -> None:
    words = shlex.split(line)

    assert {word for word in words if "=" not in word} <= TARGETS
    assert {word.partition("=")[0] for word in words if "=" in word} <= VARIABLES
