"""The proxy as a process, in front of two real vLLM servers and a real Triton with the shipped classifier."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import yaml

from local.stack.processes import ManagedProcess, free_ports, http_status
from local.stack.triton_server import TritonServer
from tests.conftest import CHECKOUT

GENERAL = "meta-llama/Meta-Llama-3.1-8B-Instruct"
REASONING = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
# What fits only the reasoning model must go there; and that one has room for an answer that takes minutes.
CONTEXT_TOKENS = {GENERAL: 512, REASONING: 65536}

HARD = "Prove that the square root of 2 is irrational. Show each step."
EASY = "What is the capital of France?"

VLLM = CHECKOUT / ".tools" / "vllm"
START_SECONDS = 240
HTTP_OK = 200


class VllmServer(ManagedProcess):
    """vLLM on one processor core, serving the tiny Llama under the name of a real model."""

    def __init__(self, model: str, port: int, core: int, log: Path) -> None:
        variables = {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": str(core),
            "VLLM_ENABLE_RESPONSES_API_STORE": "1",
            "VLLM_ENFORCE_STRICT_TOOL_CALLING": "0",  # its grammar lets random weights go on in spaces for ever
            "VLLM_HOST_IP": "127.0.0.1",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            "TORCHDYNAMO_DISABLE": "1",  # compiling takes longer than all the tests
        }
        command = [
            *(str(VLLM / "venv" / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(VLLM / "tiny-llama"), "--served-model-name", model),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--max-model-len", str(CONTEXT_TOKENS[model]), "--max-num-seqs", "8", "--enforce-eager"),
            *("--override-generation-config", '{"temperature": 0}'),  # the same request gets the same answer
            *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
            *("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}'),
        ]
        super().__init__(f"vllm-{model}", command, {**os.environ, **variables}, log)
        self.model = model
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> None:
        self.wait_until(lambda: http_status(self.port, "GET", "/health") == HTTP_OK, START_SECONDS)


class Router(msgspec.Struct, frozen=True, kw_only=True):
    """A running `semrouter serve` with its upstreams by model name."""

    process: ManagedProcess
    url: str
    upstreams: dict[str, VllmServer]

    def log_records(self) -> list[dict[str, Any]]:
        """Return the decision log lines so far, each a request that ended."""
        lines = self.process.read_log().splitlines()
        return [msgspec.json.decode(line) for line in lines if line.startswith('{"ts"')]


@pytest.fixture(scope="session")
def vllm_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[VllmServer]]:
    logs = tmp_path_factory.mktemp("vllm")
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        servers = [
            stack.enter_context(VllmServer(model, port, cores[index % len(cores)], logs / f"{index}.log"))
            for index, (model, port) in enumerate(zip(CONTEXT_TOKENS, free_ports(2), strict=True))
        ]
        for server in servers:  # they start side by side
            server.wait_ready()
        yield servers


@pytest.fixture(scope="session")
def router(
    real_triton: TritonServer, vllm_servers: list[VllmServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Router]:
    directory = tmp_path_factory.mktemp("router")
    by_model = {server.model: server for server in vllm_servers}
    upstreams = {model: {"endpoints": [server.url]} for model, server in by_model.items()}
    (directory / "upstreams.yaml").write_text(yaml.safe_dump({"upstreams": upstreams}), encoding="utf-8")
    [port] = free_ports(1)
    variables = {
        "SEMROUTER_ENABLED": "true",
        "SEMROUTER_CONFIG": str(CHECKOUT / "configs" / "semantic-router-binary.yaml"),
        "SEMROUTER_UPSTREAMS": str(directory / "upstreams.yaml"),
        "SEMROUTER_TRITON_URL": f"127.0.0.1:{real_triton.ports.grpc}",
        "SEMROUTER_PORT": str(port),
        "SEMROUTER_ROUTING_BUDGET_MS": "2000",  # a machine that also runs two LLM servers is slow at times
    }
    command = [sys.executable, "-m", "local.cli", "serve"]
    with ManagedProcess("proxy", command, {**os.environ, **variables}, directory / "proxy.log") as process:
        process.wait_until(lambda: http_status(port, "GET", "/health/ready") == HTTP_OK, timeout_seconds=30)
        yield Router(process=process, url=f"http://127.0.0.1:{port}", upstreams=by_model)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
