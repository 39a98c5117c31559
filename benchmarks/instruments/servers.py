"""The servers that are measured, each on a free port of loopback, and the one upstream they all stand before."""

import http.client
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import msgspec

from benchmarks.table.bench import TOOLS, program
from benchmarks.table.machine import CHECKOUT
from export.repository.serving_copy import refresh_serving_copy
from local.stack.processes import ManagedProcess, free_ports
from local.stack.triton import TritonPorts
from local.stack.triton_server import TritonServer

MODEL = "meta-llama/Meta-Llama-3.1-8B-Instruct"
POLICY = CHECKOUT / "configs" / "semantic-router-binary.yaml"
DESIGNS = Path(__file__).parents[1] / "designs"
_MODELS = (MODEL, "deepseek-ai/DeepSeek-R1-Distill-Llama-8B")
_START_SECONDS = 60
_LITELLM_OPEN = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"
_PROBE = msgspec.json.encode({"model": MODEL, "messages": [{"role": "user", "content": "Are you there?"}]})
_ANSWER = msgspec.json.encode(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1700000000,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 14, "completion_tokens": 2, "total_tokens": 16},
    }
).decode()
_NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json; keepalive_requests 1000000000; client_max_body_size 64m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {servers}
}}
"""
_STATIC = "server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{answer}'; }} }}"
_PASSING_ON = """upstream behind {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}"""


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any setting of the router's, with `variables`."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("SEMROUTER_")}, **variables}


class Server(ManagedProcess):
    """A process that answers on `port`."""

    def __init__(
        self, name: str, command: list[str], folder: Path, *, port: int, variables: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(name, command, environment(variables or {}), folder / f"{name}.log")
        self.port = port

    def wait_answering(self) -> None:
        """Return once a chat request gets its answer."""
        self.wait_until(self._answers, _START_SECONDS)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("POST", "/v1/chat/completions", _PROBE, {"Content-Type": "application/json"})
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def fast_upstream(folder: Path) -> Iterator[Server]:
    """Serve one fixed chat completion from nginx: fast enough never to be what is measured."""
    (port,) = free_ports(1)
    with _nginx("upstream", folder, _STATIC.format(port=port, answer=_ANSWER), port) as server:
        yield server


@contextmanager
def nginx_proxy(folder: Path, upstream: int) -> Iterator[Server]:
    (port,) = free_ports(1)
    with _nginx("nginx", folder, _PASSING_ON.format(port=port, upstream=upstream), port) as server:
        yield server


@contextmanager
def sglang_router(folder: Path, upstream: int) -> Iterator[Server]:
    """Serve the Rust router with what costs it time and has no counterpart here switched off."""
    (port, metrics) = free_ports(2)
    arguments = [
        *("--worker-urls", f"http://127.0.0.1:{upstream}", "--host", "127.0.0.1", "--port", str(port)),
        *("--prometheus-port", str(metrics), "--policy", "round_robin", "--log-level", "error", "--disable-retries"),
    ]
    command = [str(program("sglang-router")), "-m", "sglang_router.launch_router", *arguments]
    with Server("sglang-router", command, folder, port=port) as server:
        server.wait_answering()
        yield server


@contextmanager
def litellm_proxy(folder: Path, upstream: int, workers: int) -> Iterator[Server]:
    (port,) = free_ports(1)
    configuration = folder / "litellm.yaml"
    parameters = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    configuration.write_bytes(
        msgspec.yaml.encode({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]})
    )
    command = [str(program("litellm")), "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    variables = {"LITELLM_LOG": "ERROR", _LITELLM_OPEN: "true", "PATH": f"{TOOLS}/litellm/bin:{os.environ['PATH']}"}
    with Server("litellm", [*command, "--num_workers", str(workers)], folder, port=port, variables=variables) as server:
        server.wait_answering()
        yield server


@contextmanager
def plain_proxy(folder: Path, upstream: int) -> Iterator[Server]:
    """Serve what aiohttp costs by itself."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "benchmarks.instruments.plain_proxy", str(port), str(upstream)]
    with Server("plain-proxy", command, folder, port=port, variables={"PYTHONPATH": str(CHECKOUT)}) as server:
        server.wait_answering()
        yield server


@contextmanager
def our_proxy(folder: Path, upstream: int, name: str = "proxy", **variables: str) -> Iterator[Server]:
    """Serve router_proxy as `semrouter serve` does; `variables` are SEMROUTER_… without the prefix."""
    (port,) = free_ports(1)
    upstreams = folder / f"{name}-upstreams.yaml"
    upstreams.write_bytes(upstreams_file(list(_MODELS), upstream))
    settings = {
        "UPSTREAMS": str(upstreams),
        "CONFIG": str(POLICY),
        "PORT": str(port),
        **{key.upper(): value for key, value in variables.items()},
    }
    named = {f"SEMROUTER_{key}": value for key, value in settings.items()}
    with Server(name, [sys.executable, "-m", "local.cli", "serve"], folder, port=port, variables=named) as server:
        server.wait_answering()
        yield server


def upstreams_file(models: list[str], port: int) -> bytes:
    return msgspec.yaml.encode({"upstreams": {name: {"endpoints": [f"http://127.0.0.1:{port}"]} for name in models}})


@contextmanager
def triton(folder: Path, designs: tuple[str, ...] = ()) -> Iterator[TritonServer]:
    """Serve the shipped repository as `make run` does, with the models of `designs` beside it."""
    repository = folder / "model_repository"
    refresh_serving_copy(CHECKOUT / "model_repository", repository)
    for design in designs:
        refresh_serving_copy(DESIGNS / design, repository)
    for model in repository.iterdir():
        (model / "1").mkdir(exist_ok=True)  # an ensemble's version directory is empty, and git keeps none such
    http, grpc, metrics = free_ports(3)
    variables = {"SEMROUTER_CONFIG": str(POLICY), "SEMROUTER_CLASSIFIER": ""}
    with TritonServer(repository, folder, TritonPorts(http=http, grpc=grpc, metrics=metrics), variables) as server:
        server.wait_ready()
        yield server


@contextmanager
def _nginx(name: str, folder: Path, servers: str, port: int) -> Iterator[Server]:
    home = folder / name
    home.mkdir(exist_ok=True)
    configuration = home / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=home, servers=servers), encoding="utf-8")
    command = [str(program("nginx")), "-p", str(home), "-c", str(configuration)]
    with Server(name, command, folder, port=port) as server:
        server.wait_answering()
        yield server
