"""Several Tritons behind one name: all decide, one that dies is done without, and one that joins takes part.

Each has a loopback address of its own and the same port, as pods do behind a headless service.
"""

import asyncio
import os
import re
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from export.repository.serving_copy import refresh_serving_copy
from local.stack.processes import free_ports
from local.stack.triton import TritonPorts
from local.stack.triton_server import TritonServer
from tests.conftest import CHECKOUT
from tests.router_proxy.test_commands import announced_url, serving
from tests.stand_ins.name_server import Headless

MODEL = "meta-llama/Meta-Llama-3.1-8B-Instruct"  # what `serving` has an upstream for
POLICY = f"""
reasoning_model: {{name: thinking, model: {MODEL}}}
general_model: {MODEL}
abstain_onprem_model: {MODEL}
threshold_min_conf: 0.6
"""
DECIDED = re.compile(r'nv_inference_request_success\{model="semantic_router",version="1"\} (\d+)')
ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
StartPod = Callable[[str], TritonServer]


def decided(pod: TritonServer) -> int:
    """Return how many decisions a Triton has taken."""
    with urllib.request.urlopen(f"http://127.0.0.1:{pod.ports.metrics}/metrics", timeout=10) as answer:
        found = DECIDED.search(answer.read().decode())
    assert found is not None
    return int(found[1])


class Client:
    """Asks the proxy for one decision after another, each about another text."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._asked = 0

    async def outcomes(self, count: int) -> list[str]:
        return [await self._outcome() for _ in range(count)]

    async def _outcome(self) -> str:
        self._asked += 1
        async with self._session.post("/v1/route", json={"text": f"What is {self._asked} plus one?"}) as answer:
            return str((await answer.json())["outcome"])


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")
    return file


@pytest.fixture
def grpc_port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def start_pod(tmp_path: Path, policy: Path, grpc_port: int) -> Iterator[StartPod]:
    """Start a Triton at an address of its own; its connections end after two seconds, as the container's do in 300."""
    pods: list[TritonServer] = []
    repository = tmp_path / "model_repository"
    refresh_serving_copy(CHECKOUT / "model_repository", repository)

    def start(address: str) -> TritonServer:
        http, metrics = free_ports(2)
        ports = TritonPorts(http=http, grpc=grpc_port, metrics=metrics)
        own = (f"--grpc-address={address}", "--grpc-max-connection-age=2000", "--grpc-max-connection-age-grace=30000")
        variables = {"SEMROUTER_CONFIG": str(policy), "SEMROUTER_CLASSIFIER": "keyword"}
        pod = TritonServer(repository, tmp_path / address, ports, variables, extra=own)
        pods.append(pod)
        pod.start()
        pod.wait_ready()
        return pod

    yield start
    for pod in pods:
        pod.stop()


async def test_decisions_are_spread_survive_a_death_and_reach_a_newcomer(
    tmp_path: Path, policy: Path, grpc_port: int, start_pod: StartPod
) -> None:
    first, second = start_pod(ADDRESSES[0]), start_pod(ADDRESSES[1])
    name = Headless([ADDRESSES[0], ADDRESSES[1]])
    with name.serving() as name_server:
        variables = {
            "SEMROUTER_ENABLED": "true",
            "SEMROUTER_CONFIG": str(policy),
            "SEMROUTER_TRITON_URL": f"dns://{name_server}/triton.test:{grpc_port}",
            "SEMROUTER_CACHE_ENTRIES": "0",
            "SEMROUTER_CANARY_SECONDS": "0",
            "SEMROUTER_ROUTING_BUDGET_MS": "2000",
        }
        async with (
            serving(tmp_path, **variables) as proxy,
            aiohttp.ClientSession(await announced_url(proxy)) as session,
        ):
            client = Client(session)
            await client.outcomes(1)
            before = decided(first), decided(second)
            assert set(await client.outcomes(40)) == {"routed"}
            taken = decided(first) - before[0], decided(second) - before[1]
            assert min(taken) >= 10  # in turns, but for connections that end and begin

            os.killpg(first.pid, signal.SIGKILL)
            name.addresses = [ADDRESSES[1]]
            outcomes = await client.outcomes(40)
            assert outcomes.count("routed") >= 38  # one may have been on its way, one more before that was known
            assert set(outcomes[-20:]) == {"routed"}

            third = start_pod(ADDRESSES[2])
            name.addresses = [ADDRESSES[1], ADDRESSES[2]]
            before_joining, outlived = decided(third), decided(second)
            async with asyncio.timeout(60):
                while decided(third) < before_joining + 5:
                    assert await client.outcomes(5) == ["routed"] * 5
            assert decided(second) > outlived
