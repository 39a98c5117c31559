"""Every request that the documents print with its answer, sent to the stack that `make run` starts."""

import json
import re
import shlex
import subprocess
import sys
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.system.conftest import Stack

from .documents import Block, all_blocks

EXAMPLES = [block for block in all_blocks("bash") if block.text.startswith("curl ") and block.output is not None]
CURLS = [pytest.param(block, id=block.place) for block in EXAMPLES]
CHECKS = [
    pytest.param(block, id=block.place)
    for block in all_blocks("bash")
    if block.text.startswith(".venv/bin/semrouter check") and block.output is not None
]
PROGRAMS = [pytest.param(block, id=block.place) for block in all_blocks("python") if block.output is not None]
FORM = "application/x-www-form-urlencoded"  # what curl -d says unless told otherwise


class Curl(msgspec.Struct, frozen=True, kw_only=True):
    """A curl command line, and the jq filter behind it."""

    url: str
    headers: dict[str, str]
    body: str | None
    jq: str | None

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"


def read_curl(command: str) -> Curl:
    words = shlex.split(command.replace("\\\n", " "))
    pipe = words.index("|") if "|" in words else len(words)
    headers = {"Content-Type": FORM}
    body = url = None
    arguments = iter(words[1:pipe])
    for word in arguments:
        match word:
            case "-H":
                name, _, value = next(arguments).partition(": ")
                headers[name] = value
            case "-d":
                body = next(arguments)
            case "-s" | "-i" | "-si":
                continue
            case _:
                url = word
    assert url is not None, command
    return Curl(url=f"http://{url}", headers=headers, body=body, jq=words[-1] if "|" in words else None)


def select(document: Any, path: str) -> list[Any]:
    """Apply a jq path of names, indices and `[]`."""
    values = [document]
    for name, index in re.findall(r"\.(\w+)|\[(\d*)\]", path):
        if name:
            values = [value[name] for value in values]
        else:
            values = [value[int(index)] for value in values] if index else [item for value in values for item in value]
    return values


def here(text: str, stack: Stack) -> str:
    """Put the running stack's ports in place of the usual ones."""
    proxy = stack.url.rpartition(":")[2]
    ports = {"8999": proxy, "8000": str(stack.triton_http_port), "8001": str(stack.triton_grpc_port)}
    return re.sub(r"localhost:(\d+)", lambda match: f"127.0.0.1:{ports[match[1]]}", text)


@pytest.mark.parametrize("block", CURLS)
async def test_a_request_gets_the_printed_answer(stack: Stack, block: Block) -> None:
    curl = read_curl(here(block.text, stack))
    assert block.output is not None

    async with (
        aiohttp.ClientSession() as session,
        session.request(curl.method, curl.url, headers=curl.headers, data=curl.body) as response,
    ):
        body = await response.text()
        head = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{k}: {v}" for k, v in response.headers.items())]

    if curl.jq is not None:
        assert [str(value) for value in select(json.loads(body), curl.jq)] == block.output.splitlines()
    else:
        assert [line for line in block.output.splitlines() if line not in head and line not in body] == []


@pytest.mark.parametrize("block", CHECKS)
def test_the_check_prints_what_the_document_says(stack: Stack, block: Block) -> None:
    command = [sys.executable, "-m", "local.cli", "check", stack.url]

    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (result.stdout.strip(), result.returncode) == (block.output, 0), result.stderr


@pytest.mark.parametrize("block", PROGRAMS)
def test_a_program_prints_what_the_document_says(stack: Stack, block: Block) -> None:
    command = [sys.executable, "-c", here(block.text, stack)]

    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (result.stdout.strip(), result.returncode) == (block.output, 0), result.stderr


@pytest.mark.parametrize(
    "prompt",
    [
        "Prove that the square root of 2 is irrational. Show each step.",
        "What is the capital of France?",
        "What is 2+2?",
        "Prove sqrt(2) is irrational",
    ],
)
def test_each_example_of_the_original_guide_is_among_them(prompt: str) -> None:
    assert any(prompt in block.text for block in EXAMPLES)
