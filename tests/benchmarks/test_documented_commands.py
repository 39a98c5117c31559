"""The commands that benchmarks/README.md prints to measure with, run as they are printed but for the port."""

import json
import shlex
import subprocess

import pytest

from local.stack.triton_server import TritonServer
from tests.conftest import CHECKOUT
from tests.docs.documents import blocks, shell_commands

INPUTS = CHECKOUT / "benchmarks" / "inputs" / "mixed.json"
COMMANDS = [
    command
    for block in blocks(CHECKOUT / "benchmarks" / "README.md")
    if "perf_analyzer" in block.text
    for command in shell_commands(block)
    if command.startswith(".tools/perf_analyzer/")
]


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    subprocess.run(["benchmarks/prepare-tools.sh", "perf_analyzer"], cwd=CHECKOUT, check=True)


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        *zip(
            COMMANDS,
            [("Request concurrency: 16", "Request count: 500"), ("Request Rate: 50", "Request count: 250")],
            strict=True,
        )
    ],
    ids=["closed loop", "open loop"],
)
def test_a_command_measures_as_printed(command: str, printed: tuple[str, str], real_triton: TritonServer) -> None:
    words = shlex.split(command.replace("localhost:8001", f"localhost:{real_triton.ports.grpc}"))

    ran = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [line for line in printed if line not in ran.stdout] == []


def test_the_inputs_are_texts_that_differ() -> None:
    texts = [text for entry in json.loads(INPUTS.read_bytes())["data"] for text in entry["text"]]

    assert len(set(texts)) == len(texts) == 52
