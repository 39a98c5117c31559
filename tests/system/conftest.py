"""The whole stack, started as `make run` starts it, on free ports."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from local.stack.processes import ManagedProcess, free_ports
from tests.conftest import CHECKOUT

LLAMA = "meta-llama/Meta-Llama-3.1-8B-Instruct"
DEEPSEEK = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """A running `semrouter up`."""

    process: ManagedProcess
    url: str
    directory: Path
    triton_http_port: int
    triton_grpc_port: int

    def output(self) -> str:
        return self.process.read_log()

    @property
    def proxy_log(self) -> Path:
        return self.directory / "run" / "logs" / "router-proxy.log"

    def processes(self, words: str) -> list[psutil.Process]:
        """Return those whose command line holds `words`."""
        found = []
        for each in self.family():
            with contextlib.suppress(psutil.Error):  # one may end while it is looked at
                if each.is_running() and words in " ".join(each.cmdline()):
                    found.append(each)
        return found

    def family(self) -> list[psutil.Process]:
        """Return everything that belongs to it, itself included."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit status."""
        parent = psutil.Process(self.process.pid)
        os.kill(parent.pid, signal.SIGINT)
        return int(parent.wait(60))


@contextmanager
def run_stack(directory: Path, *arguments: str, **variables: str) -> Iterator[Stack]:
    """Run `semrouter up` with `arguments` until the block ends."""
    proxy, http, grpc, metrics, general, reasoning = free_ports(6)
    upstreams = directory / "upstreams.yaml"
    shipped = (CHECKOUT / "configs" / "upstreams.yaml").read_text(encoding="utf-8")
    upstreams.write_text(shipped.replace(":8100", f":{general}").replace(":8101", f":{reasoning}"), encoding="utf-8")
    ports = {"port": proxy, "triton-http-port": http, "triton-grpc-port": grpc, "triton-metrics-port": metrics}
    command = [
        *(sys.executable, "-m", "local.cli", "up", "--run-directory", str(directory / "run")),
        *("--upstreams", str(upstreams), "--demo-upstreams"),
        *(part for name, port in ports.items() for part in (f"--{name}", str(port))),
        *arguments,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEMROUTER_")}
    environment |= {"PYTHONUNBUFFERED": "1", **variables}
    log = directory / "stack.log"
    log.unlink(missing_ok=True)  # an earlier run in this directory was ready too
    with ManagedProcess("stack", command, environment, log) as process:
        process.wait_until(lambda: "The semantic router is ready" in process.read_log(), timeout_seconds=90)
        yield Stack(
            process=process,
            url=f"http://127.0.0.1:{proxy}",
            directory=directory,
            triton_http_port=http,
            triton_grpc_port=grpc,
        )


@pytest.fixture(scope="session")
def onnx_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with run_stack(tmp_path_factory.mktemp("onnx")) as stack:
        yield stack


@pytest.fixture(scope="session")
def keyword_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with run_stack(tmp_path_factory.mktemp("keyword"), "--classifier", "keyword") as stack:
        yield stack
