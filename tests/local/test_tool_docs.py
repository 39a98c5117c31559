"""The pages on tools show what the commands really print."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from local.cli import main

CHECKOUT = Path(__file__).parents[2]
PAGES = [
    (CHECKOUT / "docs" / name).read_text(encoding="utf-8") for name in ("policies.md", "operations.md", "runbook.md")
]
EXAMPLES: list[tuple[str, str]] = re.findall(r"```console\n\$ semrouter (.*)\n((?:.*\n)*?)```", "".join(PAGES))


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=[" ".join(each[0].split()[:2]) for each in EXAMPLES])
def test_an_example_prints_what_the_page_shows(command: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)

    result = CliRunner().invoke(main, shlex.split(command))

    assert result.stdout + result.stderr == output


def test_the_pages_have_an_example_of_each_kind() -> None:
    assert [command.split()[1] for command, _ in EXAMPLES if command.startswith("policy")] == [
        "lint",
        "test",
        "explain",
        "diff",
    ]
    assert [command.split()[0] for command, _ in EXAMPLES if not command.startswith("policy")] == [
        "report",
        "canaries",
        "drift-rules",
    ]
