"""A tritonserver that breaks comes back by itself, whatever lies beside it."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from local.stack.supervision import Supervisor
from tests.semantic_router.conftest import MakeRouter, RouterModel, make_router
from tests.stand_ins.tiny_classifier import write_tiny_bundle

__all__ = ["make_router"]  # a fixture of the Triton model's tests, used here too

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's stubs have theirs


def step_until(supervisor: Supervisor, holds: Callable[[list[str]], bool]) -> list[str]:
    """Let the supervisor work until what it has told so far is enough; return that."""
    told: list[str] = []
    deadline = time.monotonic() + 90
    while not holds(told):
        assert time.monotonic() < deadline, told
        told += supervisor.step()
        time.sleep(0.05)  # as the stack does; the server needs the processor to come up
    return told


def is_restarted(told: list[str]) -> bool:
    return "tritonserver was restarted" in told


def stubs_of(router: RouterModel, model: str) -> list[psutil.Process]:
    children = psutil.Process(router.server.pid).children(recursive=True)
    return [each for each in children if f"/{model}/" in " ".join(each.cmdline())]


@pytest.mark.parametrize("killed", ["one of two", "all"])
def test_a_server_whose_python_stubs_died_is_restarted(make_router: MakeRouter, killed: str) -> None:
    """Triton goes on serving: with one stub of two it fails a share of the requests, with none all of them."""
    router = make_router(SEMROUTER_CLASSIFIER="keyword")
    supervisor = Supervisor(router.server)
    stubs = stubs_of(router, "semantic_router")
    assert len(stubs) == 2
    for stub in stubs[: 1 if killed == "one of two" else 2]:
        stub.kill()

    def ask_and_look(told: list[str]) -> bool:
        router.try_to_decide("hard")  # what is not asked for cannot fail
        return is_restarted(told)

    step_until(supervisor, ask_and_look)

    assert [router.decide_one("hard").target for _ in range(20)] == ["small"] * 20


def test_a_restart_beside_garbage_serves_the_last_good_policy_and_the_versions_that_load(
    make_router: MakeRouter, tmp_path: Path
) -> None:
    """And one that is killed again while it comes up is started again."""
    router = make_router(SEMROUTER_LAST_POLICY=str(tmp_path / "last-policy.yaml"))
    supervisor = Supervisor(router.server)
    revision = router.decide_one("hard").policy
    router.policy.write_text("threshold_min_conf: [", encoding="utf-8")
    truncated = router.repository / "reasoning_classifier" / "2"
    write_tiny_bundle(truncated, labels=("non-reasoning", "reasoning"))
    os.truncate(truncated / "model.onnx", 100)
    before = regions()

    os.kill(router.server.pid, signal.SIGKILL)
    step_until(supervisor, lambda told: "tritonserver ended and is started again" in told)
    os.kill(router.server.pid, signal.SIGKILL)
    told = step_until(supervisor, is_restarted)

    decision = router.decide_one("hard")
    assert (decision.target, decision.policy, decision.classifier.version) == ("big", revision, 1)
    assert "is not valid YAML" in str(decision.policy_error)
    assert any("cannot be started" in line for line in told)
    assert not truncated.exists()
    assert len(regions()) <= len(before)


def regions() -> list[Path]:
    return list(SHARED_MEMORY.glob("semrouter-*"))
