"""What the proxy says at its start about the budget and the classifier."""

import logging
from pathlib import Path

import pytest

from router_proxy.background.budget_check import check_budget
from tests.router_proxy.conftest import GENERAL, Proxy, StartProxy
from tests.router_proxy.test_commands import said as process_said
from tests.router_proxy.test_commands import serving


async def said(proxy: Proxy, budget_ms: int, caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    assert proxy.gateway.routing is not None
    caplog.set_level(logging.INFO, "semrouter.proxy")
    caplog.clear()
    await check_budget(proxy.gateway.routing.router, ["one text", "another"], budget_ms)
    (entry,) = caplog.records
    return entry.levelname, entry.message


async def test_a_budget_that_can_be_kept_is_stated(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    level, message = await said(proxy, 2000, caplog)

    assert level == "INFO"
    assert message.endswith("ms (p95), the routing budget is 2000 ms")


async def test_a_budget_that_cannot_be_kept_is_warned_of(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    level, message = await said(proxy, 0, caplog)

    assert level == "WARNING"
    assert "requests will fail open" in message


async def test_a_triton_that_is_not_there_yet_is_warned_of(
    start_proxy: StartProxy, gone_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = await start_proxy(gone_url.removeprefix("http://"))

    assert (await said(proxy, 250, caplog))[0] == "WARNING"


async def test_it_is_checked_when_a_process_starts(tmp_path: Path, stand_in_url: str) -> None:
    policy = tmp_path / "policy.yaml"
    models = ("reasoning_model", "general_model", "abstain_onprem_model")
    policy.write_text("".join(f"{model}: {GENERAL}\n" for model in models) + "threshold_min_conf: 0.6\n")
    on = {"SEMROUTER_ENABLED": "true", "SEMROUTER_CONFIG": str(policy), "SEMROUTER_TRITON_URL": stand_in_url}

    async with serving(tmp_path, **on) as process:
        assert "the routing budget is 250 ms" in await process_said(process, "p95")
