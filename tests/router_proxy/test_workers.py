"""Several workers under one parent, as processes."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import grpc
import psutil
from aiohttp.test_utils import TestServer

from tests.stand_ins.triton import StandInTriton
from tests.stand_ins.upstream import EchoUpstream

from .conftest import GENERAL
from .test_commands import announced_url, said, serving


def workers_of(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}


async def until(holds: Callable[[], bool], session: aiohttp.ClientSession) -> None:
    """Keep asking until `holds`; asking keeps the loop from spinning idly."""
    async with asyncio.timeout(60):
        while not holds():
            async with session.get("/health/live", headers={"Connection": "close"}) as response:
                assert response.status == 200


async def test_requests_on_all_workers_add_up_in_any_ones_metrics(tmp_path: Path) -> None:
    async with (
        TestServer(EchoUpstream(GENERAL).app) as server,
        serving(tmp_path, upstream_url=str(server.make_url("")), SEMROUTER_WORKERS="2") as parent,
        aiohttp.ClientSession(await announced_url(parent)) as session,
    ):
        for _ in range(20):
            headers = {"Connection": "close"}
            async with session.post("/v1/chat/completions", json={"model": GENERAL}, headers=headers) as response:
                assert response.status == 200
        async with session.get("/metrics") as response:
            lines = (await response.text()).splitlines()

        assert sum(float(line.split()[-1]) for line in lines if line.startswith("semrouter_requests_total{")) == 20

        parent.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(parent.wait(), 60) == 0


async def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, SEMROUTER_WORKERS="2") as parent,
        aiohttp.ClientSession(await announced_url(parent)) as session,
    ):
        await until(lambda: len(workers_of(parent.pid)) == 2, session)
        killed = min(workers_of(parent.pid))

        psutil.Process(killed).kill()

        await until(lambda: killed not in workers_of(parent.pid) and len(workers_of(parent.pid)) == 2, session)
        parent.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(parent.wait(), 60) == 0


async def test_a_parent_that_cannot_start_a_worker_goes_on_and_tries_again(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, SEMROUTER_WORKERS="2") as parent,
        aiohttp.ClientSession(await announced_url(parent)) as session,
    ):
        await until(lambda: len(workers_of(parent.pid)) == 2, session)
        process = psutil.Process(parent.pid)
        before = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (5, before[1]))

        psutil.Process(min(workers_of(parent.pid))).kill()
        await said(parent, "a worker cannot be started, next try in 1 s")
        async with session.get("/health/live", headers={"Connection": "close"}) as response:
            assert response.status == 200

        process.rlimit(psutil.RLIMIT_NOFILE, before)
        await until(lambda: len(workers_of(parent.pid)) == 2, session)
        parent.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(parent.wait(), 60) == 0


async def test_sighup_reaches_every_worker(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, SEMROUTER_WORKERS="2") as parent,
        aiohttp.ClientSession(await announced_url(parent)) as session,
    ):
        await until(lambda: len(workers_of(parent.pid)) == 2, session)
        (tmp_path / "upstreams.yaml").write_text("upstreams: {new: {endpoints: ['http://127.0.0.1:1']}}")

        parent.send_signal(signal.SIGHUP)

        for _ in range(2):
            await said(parent, "reloaded")


async def test_workers_do_not_outlive_their_parent_and_leave_nothing(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, SEMROUTER_WORKERS="2", TMPDIR=str(tmp_path)) as parent,
        aiohttp.ClientSession(await announced_url(parent)) as session,
    ):
        await until(lambda: len(workers_of(parent.pid)) == 2, session)
        workers = [psutil.Process(pid) for pid in workers_of(parent.pid)]
        [metrics] = tmp_path.glob("semrouter-metrics-*")

        parent.kill()

        _, alive = await asyncio.to_thread(psutil.wait_procs, workers, timeout=60)
        assert alive == []
        assert not metrics.exists()


async def samples(session: aiohttp.ClientSession) -> dict[str, float]:
    """Return every sample of /metrics as some worker shows it."""
    async with session.get("/metrics", headers={"Connection": "close"}) as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


async def test_gauges_are_those_of_all_workers(tmp_path: Path, stand_in: StandInTriton, stand_in_url: str) -> None:
    policy = tmp_path / "policy.yaml"
    models = ("reasoning_model", "general_model", "abstain_onprem_model")
    policy.write_text("".join(f"{model}: {GENERAL}\n" for model in models) + "threshold_min_conf: 0.6\n")
    variables = {
        "SEMROUTER_ENABLED": "true",
        "SEMROUTER_CONFIG": str(policy),
        "SEMROUTER_TRITON_URL": stand_in_url,
        "SEMROUTER_CANARY_SECONDS": "0.1",
        "SEMROUTER_HEALTH_INTERVAL_SECONDS": "0.1",
        "SEMROUTER_WORKERS": "2",
    }
    async with (
        TestServer(EchoUpstream(GENERAL).app) as server,
        serving(tmp_path, upstream_url=str(server.make_url("")), **variables) as parent,
        aiohttp.ClientSession(await announced_url(parent)) as session,
    ):
        url = str(server.make_url(""))
        expected = {
            "semrouter_classifier_healthy": 1,
            "semrouter_routing_budget_seconds": 0.25,
            "semrouter_policy_error": 0,
            "semrouter_router_failing": 0,
            f'semrouter_endpoint_up{{endpoint="{url}",upstream="{GENERAL}"}}': 1,
        }

        await until_shown(session, expected)
        stand_in.error = (grpc.StatusCode.INTERNAL, "the stub died")
        await server.close()
        await until_shown(session, {name: 0 for name in expected if "healthy" in name or "_up" in name})
        stand_in.error = None
        await until_shown(session, {"semrouter_classifier_healthy": 1, "semrouter_router_failing": 0})


async def until_shown(session: aiohttp.ClientSession, expected: dict[str, float]) -> None:
    """Keep reading /metrics until both workers, which take turns, agree on what is expected ten times in a row."""
    agreed = 0
    async with asyncio.timeout(60):
        while agreed < 10:
            agreed = agreed + 1 if expected.items() <= (await samples(session)).items() else 0
