"""What a person sees when parts break and when they press Ctrl-C."""

import socket
import time
from pathlib import Path

import pytest

from local.errors import StartFailed

from .conftest import LLAMA, run_stack
from .test_guide import PROOF, ask


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    with run_stack(tmp_path, "--classifier", "keyword") as stack:
        family = stack.family()

        status = stack.interrupt()

    assert status == 0
    assert len(family) >= 6  # itself, tritonserver, a stub, two upstreams, the proxy
    assert [process for process in family if process.is_running()] == []


async def test_a_triton_that_is_gone_costs_the_decision_and_nothing_else(tmp_path: Path) -> None:
    with run_stack(tmp_path, "--classifier", "keyword") as stack:
        next(process for process in stack.family() if process.name() == "tritonserver").kill()

        response, answer = await ask(stack, "auto", "router", PROOF)

        assert (response.status, answer["model"]) == (200, LLAMA)
        assert response.headers["x-semrouter-outcome"].startswith("failopen_")

        deadline = time.monotonic() + 60
        while response.headers["x-semrouter-outcome"] != "routed":
            assert time.monotonic() < deadline
            response, answer = await ask(stack, "auto", "router", PROOF)
    assert "was restarted" in stack.output()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(StartFailed, match=f"port {port} is taken"), run_stack(tmp_path, "--port", str(port)):
            pass


def test_an_invalid_policy_is_refused_in_one_line(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("threshold_min_conf: 1.4", encoding="utf-8")

    with (
        pytest.raises(StartFailed, match=r"policy\.yaml: \$: expected `reasoning_model`"),
        run_stack(tmp_path, "--policy", str(policy)),
    ):
        pass
