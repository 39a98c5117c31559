"""The guide's automated test list against the stack that `make run` starts, with both classifiers."""

import subprocess
import sys
from typing import Any

import aiohttp
import pytest

from .conftest import DEEPSEEK, LLAMA, Stack

PROOF = "Prove that the square root of 2 is irrational. Show each step."
SHORT_PROOF = "Prove sqrt(2) is irrational"
CAPITAL = "What is the capital of France?"
SUM = "What is 2+2?"


@pytest.fixture(params=["keyword_stack", "onnx_stack"], ids=["keyword", "onnx"])
def stack(request: pytest.FixtureRequest) -> Stack:
    found: Stack = request.getfixturevalue(request.param)
    return found


async def ask(stack: Stack, mode: str, model: str, prompt: str) -> tuple[aiohttp.ClientResponse, dict[str, Any]]:
    """Ask as the guide's curl lines do: no Content-Type that says JSON."""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "{prompt}"}}], "max_tokens": 64}}'
    headers = {"X-Dynamo-Routing": mode, "Content-Type": "application/x-www-form-urlencoded"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{stack.url}/v1/chat/completions", data=body, headers=headers) as response,
    ):
        return response, await response.json()


@pytest.mark.parametrize(
    ("mode", "model", "prompt", "answered_by"),
    [
        pytest.param("auto", "router", PROOF, DEEPSEEK, id="auto routes a reasoning query"),
        pytest.param("auto", "router", CAPITAL, LLAMA, id="auto routes a general query"),
        pytest.param("auto", "", PROOF, DEEPSEEK, id="auto routes an empty model"),
        pytest.param("auto", LLAMA, SUM, LLAMA, id="auto honours an explicit model"),
        pytest.param("auto", LLAMA, PROOF, LLAMA, id="auto honours it for a reasoning query too"),
        pytest.param("off", LLAMA, PROOF, LLAMA, id="off leaves the model alone"),
        pytest.param("shadow", LLAMA, SHORT_PROOF, LLAMA, id="shadow leaves the model alone"),
        pytest.param("force", LLAMA, SHORT_PROOF, DEEPSEEK, id="force overrides the model"),
        pytest.param("force", DEEPSEEK, CAPITAL, LLAMA, id="force overrides it in the other direction"),
    ],
)
async def test_the_guides_examples(stack: Stack, mode: str, model: str, prompt: str, answered_by: str) -> None:
    response, answer = await ask(stack, mode, model, prompt)

    assert (response.status, answer["model"]) == (200, answered_by)
    assert response.headers["x-semrouter-mode"] == mode


async def test_an_unrouted_alias_is_told_how_to_turn_routing_on(stack: Stack) -> None:
    response, answer = await ask(stack, "off", "router", CAPITAL)

    assert response.status == 404
    assert "X-Dynamo-Routing: auto" in answer["error"]["message"]


async def test_shadow_counts_the_decision_it_does_not_apply(stack: Stack) -> None:
    await ask(stack, "shadow", LLAMA, SHORT_PROOF)

    async with aiohttp.ClientSession() as session, session.get(f"{stack.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    shadow = [line for line in lines if line.startswith("semantic_route_decisions_total") and 'route="shadow"' in line]
    assert any(f'target="{DEEPSEEK}"' in line and 'winner="reasoning"' in line for line in shadow)
    assert any(line.startswith('semantic_classifier_latency_ms_bucket{le="2500.0"') for line in lines)


async def test_the_models_are_listed_with_the_alias(stack: Stack) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{stack.url}/v1/models") as response:
        listed = {model["id"] for model in (await response.json())["data"]}

    assert {LLAMA, DEEPSEEK, "router"} <= listed


def test_semrouter_check_passes_and_says_what_it_checked(stack: Stack) -> None:
    command = [sys.executable, "-m", "local.cli", "check", stack.url]

    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("PASSED") == len(result.stdout.splitlines()) == 8
