"""Triton and workers break under steady load: what clients see, and that no request is lost."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from export.repository.shared_memory import region_prefix
from tests.conftest import CHECKOUT
from tests.system.conftest import Stack, run_stack

from .traffic import CLIENTS, NOT_ANSWERED, Traffic, counted, logged, traffic

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's stubs have theirs
RESTARTED = "tritonserver was restarted"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return Path(shutil.copy(CHECKOUT / "configs" / "semantic-router-binary.yaml", tmp_path / "policy.yaml"))


@pytest.fixture
def stack(tmp_path: Path, policy: Path) -> Iterator[Stack]:
    arguments = ("--classifier", "keyword", "--policy", str(policy))
    with run_stack(tmp_path, *arguments, SEMROUTER_WORKERS="2") as running:
        yield running


def kill_triton(stack: Stack) -> None:
    [triton] = stack.processes("tritonserver --") or stack.processes("bin/tritonserver")
    triton.kill()


def regions(stack: Stack) -> set[Path]:
    """Return the shared memory of this stack's Tritons, dead ones included."""
    return set(SHARED_MEMORY.glob(region_prefix(str(stack.directory / "run")) + "*"))


async def test_triton_killed_beside_garbage_and_again_while_it_restarts(stack: Stack, policy: Path) -> None:
    """Beside a policy that is garbage and a model.onnx that was cut short; each alone once ended the proxy."""
    models = stack.directory / "run" / "model_repository" / "topic_classifier"
    newest = max(models.glob("[0-9]*"), key=lambda version: int(version.name))
    before = regions(stack)
    async with traffic(stack) as load:
        await load.until_routed_again()
        policy.write_text("threshold_min_conf: [", encoding="utf-8")
        os.truncate(newest / "model.onnx", 1000)
        kill_triton(stack)
        await load.until(lambda: "is started again" in stack.output())
        await load.until(lambda: bool(stack.processes("bin/tritonserver")))
        kill_triton(stack)
        await load.until(lambda: RESTARTED in stack.output())
        await load.until_routed_again()
        proxies = stack.processes("local.cli serve")

    assert load.statuses.keys() == {200}
    aside = newest.with_name(f".{newest.name}.broken")
    assert (len(proxies), newest.exists(), aside.exists()) == (1, False, True)
    assert len(regions(stack)) <= len(before)
    await assert_that_all_are_accounted_for(stack, load)


async def test_one_of_two_router_stubs_killed(stack: Stack) -> None:
    async with traffic(stack) as load:
        await load.until_routed_again()
        stack.processes("/semantic_router/")[0].kill()
        await load.until(lambda: RESTARTED in stack.output())
        await load.until_routed_again()

    assert "failed a share of its requests" in stack.output()
    assert load.statuses.keys() == {200}
    await assert_that_all_are_accounted_for(stack, load)


async def test_a_worker_killed(stack: Stack) -> None:
    async with traffic(stack) as load:
        await load.until_routed_again()
        workers = stack.processes("router_proxy.server")
        killed = workers[0]
        killed.send_signal(signal.SIGKILL)
        await load.until(lambda: len(alive_besides(stack, killed)) == len(workers))
        await load.until_routed_again()

    assert set(load.statuses) <= {200, NOT_ANSWERED}
    assert load.statuses[NOT_ANSWERED] <= CLIENTS  # what was under way in that process is lost with it
    assert len(workers) == 2
    assert abs(await counted(stack) - load.ended.total()) <= CLIENTS


def alive_besides(stack: Stack, killed: psutil.Process) -> list[psutil.Process]:
    return [each for each in stack.processes("router_proxy.server") if each.pid != killed.pid]


async def assert_that_all_are_accounted_for(stack: Stack, load: Traffic) -> None:
    """Sent is what metrics counted, and what the log has once its shadow requests were judged."""
    assert await counted(stack) == load.ended.total()
    await load.until(lambda: logged(stack) == load.ended.total())
