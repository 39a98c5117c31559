"""A real Prometheus scrapes a proxy and Triton under load: every panel shows data and every alert's cause raises it."""

import asyncio
import itertools
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import pytest
import yaml
from click.testing import CliRunner

from local.cli import main
from local.stack.processes import ManagedProcess, free_ports
from local.stack.triton_server import TritonServer
from tests.conftest import CHECKOUT, StartTriton
from tests.docker.conftest import DOCKER, find_tool
from tests.docker.queries import alert_rules, metric_names, panels, rules
from tests.router_proxy.conftest import GENERAL, Proxy, StartProxy
from tests.semantic_router.conftest import make_repository

NO_GPU = "this machine has no GPU"
WITHOUT_DATA = {
    "triton: GPU utilization": NO_GPU,
    "triton: GPU memory used": NO_GPU,
    "triton: GPU power": NO_GPU,
}
# Series that begin with the first failure.
ONLY_AFTER_FAILURES = {"semrouter:failopen:ratio_rate5m", "semrouter_decision_log_dropped_total"}
RAISED_BY_A_SLOW_MACHINE = {"SemrouterClassifierSlow", "TritonQueueing", "TritonDown", "SemrouterProxyDown"}
# Of winners and of confidences; the bins are differences of the buckets that the proxy really exposes.
LIVE_SHARES_ADD_UP = "count(abs(sum by (of) (semrouter:drift_live:ratio) - 1) < 0.001) == 2"
DEADLINE_SECONDS = 60
# What the tiny classifier makes of its two words.
CANARIES = """
canaries:
  reasoning_classifier:
    - {text: hard, winner: reasoning}
    - {text: easy, winner: non-reasoning}
"""
NUMBERS = itertools.count()


class Prometheus(msgspec.Struct, frozen=True, kw_only=True):
    """A running Prometheus with the deployment's own configuration, but for targets and intervals."""

    url: str
    session: aiohttp.ClientSession

    async def has_data(self, query: str) -> bool:
        expression = query.replace("$__rate_interval", "1m")
        async with self.session.post(f"{self.url}/api/v1/query", data={"query": expression}) as response:
            answer = await response.json()
            assert answer["status"] == "success", f"{query}: {answer}"
            return bool(answer["data"]["result"])

    async def without_data(self, queries: Iterable[str]) -> set[str]:
        return {query for query in queries if not await self.has_data(query)}


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    prometheus: Prometheus
    proxy: Proxy
    triton: TritonServer
    directory: Path


@pytest.fixture
async def stack(tmp_path: Path, start_triton: StartTriton, start_proxy: StartProxy) -> AsyncIterator[Stack]:
    policy = tmp_path / "policy.yaml"
    shutil.copyfile(CHECKOUT / "configs" / "semantic-router-binary.yaml", policy)
    (tmp_path / "log").mkdir()
    (tmp_path / "canaries.yaml").write_text(CANARIES, encoding="utf-8")
    triton = start_triton(make_repository(tmp_path), policy)
    proxy = await start_proxy(
        f"127.0.0.1:{triton.ports.grpc}",
        SEMROUTER_BREAKER_FAILURES="20",
        SEMROUTER_CANARIES=str(tmp_path / "canaries.yaml"),
        SEMROUTER_CANARY_SECONDS="0.2",
        SEMROUTER_DECISION_LOG=str(tmp_path / "log" / "decisions.jsonl"),
        SEMROUTER_HEALTH_INTERVAL_SECONDS="0.2",
        SEMROUTER_ROUTING_BUDGET_MS="1000",
        SEMROUTER_SHADOW_QUEUE="1",
    )
    [port] = free_ports(1)
    targets = {
        "semrouter": str(proxy.client.make_url("")).removeprefix("http://").rstrip("/"),
        "triton": f"127.0.0.1:{triton.ports.metrics}",
        "vllm": proxy.urls[GENERAL].removeprefix("http://").rstrip("/"),
        "prometheus": f"127.0.0.1:{port}",
    }
    command = [
        find_tool("prometheus"),
        f"--config.file={write_configuration(tmp_path, targets)}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with ManagedProcess("prometheus", command, {}, tmp_path / "prometheus.log") as process:
        async with aiohttp.ClientSession() as session:
            prometheus = Prometheus(url=f"http://127.0.0.1:{port}", session=session)
            await until(lambda: is_ready(prometheus), process.read_log)
            yield Stack(prometheus=prometheus, proxy=proxy, triton=triton, directory=tmp_path)
            triton.stop(grace_seconds=1)  # what the test did to it is not worth a clean end


def write_configuration(directory: Path, targets: dict[str, str]) -> Path:
    configuration = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
    configuration["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    configuration["rule_files"] = [str(write_hasty_rules(directory)), str(write_baseline(directory))]
    for job in configuration["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets.pop(job["job_name"])]}]
    assert targets == {}
    file = directory / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return file


def write_hasty_rules(directory: Path) -> Path:
    """Copy the rules but let every alert fire at once; how long it waits is tested by alerts.yaml."""
    document = yaml.safe_load((DOCKER / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))
    for rule in (rule for group in document["groups"] for rule in group["rules"]):
        rule.pop("for", None)
    file = directory / "rules.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return file


def firing(alert: str) -> str:
    return f'ALERTS{{alertname="{alert}", alertstate="firing"}}'


def write_baseline(directory: Path) -> Path:
    """Take the documents' decision log as the baseline that live decisions are compared with."""
    arguments = ["drift-rules", str(CHECKOUT / "docs" / "examples" / "decisions.jsonl")]
    result = CliRunner().invoke(main, [*arguments, "--output", str(directory / "drift.yaml")])
    assert result.exit_code == 0, result.output
    return directory / "drift.yaml"


async def is_ready(prometheus: Prometheus) -> bool:
    try:
        async with prometheus.session.get(f"{prometheus.url}/-/ready") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def until(is_true: Callable[[], Awaitable[bool]], explain: Callable[[], Any]) -> None:
    """Return once `is_true`; polled, because scrapes have a rhythm of their own."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await is_true():
        assert time.monotonic() < deadline, explain()
        await asyncio.sleep(0.1)


async def send_everyday_load(proxy: Proxy) -> None:
    """Send one request of each kind, on two surfaces; no text twice, so that each asks Triton."""
    for word in ("hard", "easy", "something"):
        for mode in ("auto", "force", "shadow"):
            await proxy.chat(f"{word} {next(NUMBERS)}", mode=mode)
            await proxy.shadow_drained()
    await proxy.chat("hard", model=GENERAL, mode="off")
    await proxy.post("/v1/completions", {"model": "router", "prompt": "hard"}, mode="auto")
    await proxy.post("/v1/chat/completions", b"not JSON", mode="auto")


async def test_every_panel_and_every_rule_has_data_on_a_stack_under_load(stack: Stack) -> None:
    shown = {query for panel in panels() if str(panel) not in WITHOUT_DATA for query in panel.queries}
    recorded = {rule["record"] for rule in rules() if "record" in rule} | {"semrouter:drift:psi"}
    used = {name for rule in rules() for name in metric_names(rule["expr"])}
    lacking = (shown | recorded | used) - ONLY_AFTER_FAILURES

    async def nothing_is_lacking() -> bool:
        nonlocal lacking
        await send_everyday_load(stack.proxy)
        lacking = await stack.prometheus.without_data(lacking)
        return not lacking

    await until(nothing_is_lacking, lambda: sorted(lacking))

    assert await stack.prometheus.has_data(LIVE_SHARES_ADD_UP)
    judged = [rule["alert"] for rule in alert_rules() if rule["alert"] not in RAISED_BY_A_SLOW_MACHINE]
    assert [alert for alert in judged if await stack.prometheus.has_data(firing(alert))] == []


async def change_what_can_be_refused_or_lost(stack: Stack) -> None:
    """Give Triton a policy that it refuses, the proxy an upstream that nobody serves, the log no place."""
    shutil.rmtree(stack.directory / "log", ignore_errors=True)
    await stack.proxy.chat(f"hard {next(NUMBERS)}", mode="auto")
    (stack.directory / "policy.yaml").write_text("{}", encoding="utf-8")
    file = stack.directory / "upstreams.yaml"
    form = yaml.safe_load(file.read_text(encoding="utf-8"))
    form["upstreams"]["gone"] = {"endpoints": [f"http://127.0.0.1:{free_ports(1)[0]}"]}
    file.write_text(yaml.safe_dump(form), encoding="utf-8")
    stack.proxy.live.reload()


def stubs(stack: Stack) -> list[psutil.Process]:
    """Return the processes that Triton runs its Python models in."""
    return [each for each in psutil.Process(stack.triton.pid).children(recursive=True) if "stub" in each.name()]


async def hold_up_the_stubs(stack: Stack) -> None:
    """Suspend Triton's Python models for a moment, so that requests queue for them."""
    for stub in stubs(stack):
        stub.suspend()
    bodies = [{"prompt": f"hard {next(NUMBERS)}"} for _ in range(12)]
    asks = [stack.proxy.post("/v1/completions", body, mode="auto", X_Semrouter_Budget_Ms="150") for body in bodies]
    await asyncio.gather(*asks)
    for stub in stubs(stack):
        stub.resume()


async def break_stub_upstream_and_files(stack: Stack) -> None:
    """Kill Triton's Python stubs (an error that a Python model answers with is not counted by 24.10), and so on."""
    for stub in stubs(stack):
        stub.kill()
    (stack.directory / "upstreams.yaml").write_text("upstreams: {}", encoding="utf-8")
    await stack.proxy.chat(f"hard {next(NUMBERS)}", mode="auto")
    await stack.proxy.chat("hard", model="gone", mode="off")


async def ask_a_suspended_triton(stack: Stack) -> None:
    """Suspend Triton and ask it for decisions, on the request path and off it, that cannot come in time."""
    psutil.Process(stack.triton.pid).suspend()
    bodies = [{"prompt": f"hard {next(NUMBERS)}"} for _ in range(40)]
    asks = [stack.proxy.post("/v1/completions", body, mode="auto") for body in bodies]
    shadows = [stack.proxy.chat(f"hard {next(NUMBERS)}", mode="shadow") for _ in range(10)]
    await asyncio.gather(*asks, *shadows)


async def end_the_proxy(stack: Stack) -> None:
    await stack.proxy.client.close()


# In this order on one stack; each cause is repeated until Prometheus has seen it.
CAUSES: list[tuple[Callable[[Stack], Awaitable[None]], list[str]]] = [
    (
        change_what_can_be_refused_or_lost,
        ["SemrouterPolicyError", "SemrouterEndpointDown", "SemrouterUpstreamDown", "SemrouterDecisionLogDropping"],
    ),
    (hold_up_the_stubs, ["TritonQueueing"]),
    (
        break_stub_upstream_and_files,
        [
            "TritonInferenceFailing",
            "SemrouterUpstreamFailing",
            "SemrouterConfigurationRefused",
            "SemrouterClassifierUnhealthy",
        ],
    ),
    (
        ask_a_suspended_triton,
        [
            "TritonDown",
            "SemrouterCoverageLow",
            "SemrouterFailingOpen",
            "SemrouterTritonLeftAlone",
            "SemrouterClassifierSlow",
            "SemrouterShadowDropping",
        ],
    ),
    (end_the_proxy, ["SemrouterProxyDown"]),
]


async def test_every_alert_fires_on_its_cause_on_a_live_stack(stack: Stack) -> None:
    await send_everyday_load(stack.proxy)

    for cause, alerts in CAUSES:
        lacking = {firing(alert) for alert in alerts}

        async def all_are_raised(cause: Callable[[Stack], Awaitable[None]] = cause) -> bool:
            nonlocal lacking
            await cause(stack)
            lacking = await stack.prometheus.without_data(lacking)
            return not lacking

        await until(all_are_raised, lambda: sorted(lacking))  # noqa: B023 - used within this round


def test_every_alert_is_staged_live() -> None:
    assert {alert for _, alerts in CAUSES for alert in alerts} == {rule["alert"] for rule in alert_rules()}
