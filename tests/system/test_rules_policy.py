"""The guide's rules file routes over many labels, on the bundled topic classifier and on the keyword classifier."""

from collections.abc import Iterator

import pytest

from tests.conftest import CHECKOUT

from .conftest import DEEPSEEK, LLAMA, Stack, run_stack
from .test_guide import CAPITAL, PROOF, ask

CODER = "deepseek-ai/DeepSeekCoder-V2-Lite-Instruct"
RULES = str(CHECKOUT / "configs" / "semantic-router.yaml")
CODE = "Write a Python function that parses a CSV file and handles quoted fields"


@pytest.fixture(scope="module")
def rules_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with run_stack(tmp_path_factory.mktemp("rules"), "--policy", RULES) as stack:
        yield stack


@pytest.mark.parametrize(
    ("prompt", "answered_by", "rationale"),
    [
        pytest.param(PROOF, DEEPSEEK, "reasoning", id="reasoning"),
        pytest.param(CODE, CODER, "code", id="code"),
        pytest.param(CAPITAL, LLAMA, "general", id="general"),
    ],
)
async def test_each_label_has_its_model(rules_stack: Stack, prompt: str, answered_by: str, rationale: str) -> None:
    response, answer = await ask(rules_stack, "auto", "router", prompt)

    assert (response.status, answer["model"]) == (200, answered_by)
    assert response.headers["x-semrouter-rationale"] == rationale
    assert response.headers["x-semrouter-classifier"].startswith("topic_classifier/")
