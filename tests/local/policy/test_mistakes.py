"""A mistake in the policy of a running router: refused where it would be loaded, in the words of lint."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.policy.lint import lint_policy, lint_upstreams
from routing_policy.problem import Problem
from tests.router_proxy.conftest import GENERAL, REASONING, StartProxy, start_proxy  # noqa: F401 - a fixture
from tests.semantic_router.conftest import MakeRouter, RouterModel, make_router  # noqa: F401 - a fixture

CONFIGS = Path(__file__).parents[3] / "configs"
POLICY = f"""\
reasoning_model: {REASONING}
general_model: {GENERAL}
abstain_onprem_model: {GENERAL}
threshold_min_conf: 0.6
"""
UNKNOWN_LABEL = f"""\
abstain_onprem_model: {GENERAL}
threshold_min_conf: 0.6
rules:
  - {{when_any: [{{label: cooking, min_conf: 0.5}}], route_onprem_model: {REASONING}, rationale: hard}}
classifier: reasoning_classifier
"""


@pytest.fixture(scope="module")
def running(make_router: MakeRouter) -> RouterModel:  # noqa: F811 - the fixture
    return make_router(POLICY)


@pytest.fixture
def router(running: RouterModel) -> Iterator[RouterModel]:
    """Give a test the running router with the good policy in force, and put that back in the end."""
    policy_error_when(running, "None")
    yield running
    running.policy.write_text(POLICY, encoding="utf-8")


def policy_error_when(router: RouterModel, words: str) -> str:
    """Ask until the decision's policy_error holds `words`, for at most 20 seconds."""
    deadline = time.monotonic() + 20
    while words not in (error := str(router.decide_one("hard").policy_error)):
        assert time.monotonic() < deadline, error
    return error


def error_found(router: RouterModel, upstreams: Path) -> Problem:
    findings = lint_policy(router.policy, lint_upstreams(upstreams), [router.repository])
    assert [finding.severity for finding in findings] == ["error"]
    return findings[0]


@pytest.mark.parametrize(
    ("mistake", "line"),
    [
        pytest.param(POLICY.replace("threshold", "treshold"), 4, id="typo"),
        pytest.param(POLICY.replace("0.6", "1.4"), 4, id="threshold of 1.4"),
        pytest.param(UNKNOWN_LABEL, 4, id="unknown label"),
    ],
)
def test_triton_refuses_what_lint_finds(router: RouterModel, mistake: str, line: int) -> None:
    router.policy.write_text(mistake, encoding="utf-8")

    error = error_found(router, CONFIGS / "upstreams.yaml")
    refused = policy_error_when(router, error.reason)

    assert (refused, error.line) == (f"{router.policy}: {error.path}: {error.reason}", line)
    assert router.decide_one("hard").target == REASONING


async def test_the_proxy_refuses_the_unknown_target_that_lint_finds(
    router: RouterModel,
    start_proxy: StartProxy,  # noqa: F811 - the fixture
) -> None:
    proxy = await start_proxy(f"127.0.0.1:{router.server.ports.grpc}", SEMROUTER_CONFIG=str(router.policy))

    router.policy.write_text(POLICY.replace(REASONING, "deepseek-ai/DeepSeek-R2"), encoding="utf-8")
    proxy.live.reload()

    error = error_found(router, proxy.gateway.settings.upstreams)
    assert proxy.gateway.configuration_error == f"{router.policy}: {error.path}: {error.reason}"
    assert (error.path, error.line) == ("$.reasoning_model", 1)
