"""Everything `make run` starts: Triton, the demo upstreams and the proxy, watched until somebody stops it."""

import os
import shutil
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec
import yaml

from export.bundle.guide_files import GuideFiles, install_guide_files
from export.errors import ExportError
from export.repository.serving_copy import advice_on, refresh_serving_copy
from local.errors import StartFailed
from routing_policy.errors import RoutingPolicyError
from routing_policy.keywords import KEYWORD
from routing_policy.policy_file import load_policy

from .processes import ManagedProcess, check_port_free, http_answer, http_status
from .supervision import Supervisor
from .triton import TritonPorts
from .triton_server import TritonServer

CHECKOUT = Path(__file__).resolve().parents[2]
SHIPPED_REPOSITORY = CHECKOUT / "model_repository"
STEP_SECONDS = 0.2
PART_START_SECONDS = 30
HTTP_OK = 200


class StackOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to start and where; every port is on loopback."""

    policy: Path
    upstreams: Path
    start_demo_upstreams: bool
    classifier: str
    given_model: GuideFiles | None  # installed before Triton starts, as SEMROUTER_MODEL_PATH asks
    max_length: int
    run_directory: Path
    proxy_port: int
    triton_ports: TritonPorts

    @property
    def repository(self) -> Path:
        return self.run_directory / "model_repository"

    @property
    def last_policy(self) -> Path:
        """Where Triton keeps the policy in force, for a restart beside one that it must refuse."""
        return self.run_directory / "last-policy.yaml"


def run_stack(options: StackOptions, announce: Callable[[StackOptions], None]) -> None:
    """Start everything, call `announce` once it is ready, and watch it until SIGINT, SIGTERM or SIGHUP."""
    shutil.rmtree(options.run_directory / "logs", ignore_errors=True)
    for left_out in refresh_serving_copy(SHIPPED_REPOSITORY, options.repository):
        click.echo(advice_on(left_out))
    _install_given_model(options)
    options.last_policy.unlink(missing_ok=True)  # of an earlier run: a first start is to refuse what is invalid
    with _stop_signals(), ExitStack() as stack:
        triton = stack.enter_context(_triton(options))
        parts = [stack.enter_context(part) for part in _demo_upstreams(options)]
        proxy = stack.enter_context(_proxy(options))
        triton.wait_ready()
        proxy.wait_until(lambda: _reaches_triton(options), PART_START_SECONDS)
        announce(options)
        _watch(triton, [*parts, proxy])


def _install_given_model(options: StackOptions) -> None:
    if options.given_model is None:
        return
    if options.classifier == KEYWORD:
        raise StartFailed("SEMROUTER_MODEL_PATH: the keyword classifier serves no model; give one of the two")
    try:
        classifier = options.classifier or load_policy(options.policy).classifier
        installed = install_guide_files(
            options.given_model, options.repository, classifier, max_length=options.max_length
        )
    except (ExportError, RoutingPolicyError) as exc:
        raise StartFailed(f"SEMROUTER_MODEL_PATH: {exc}") from exc
    if installed is not None:
        click.echo(f"installed {options.given_model.model} as {installed.classifier} version {installed.version}")


def _watch(triton: TritonServer, parts: list[ManagedProcess]) -> None:
    supervisor = Supervisor(triton)
    while True:
        for part in parts:
            if not part.is_running:
                raise StartFailed(f"{part.name} ended (log: {part.log}):\n{part.last_words()}")
        for told in supervisor.step():
            click.echo(told, err=True)
        time.sleep(STEP_SECONDS)


def _triton(options: StackOptions) -> TritonServer:
    variables = {
        "SEMROUTER_CONFIG": str(options.policy),
        "SEMROUTER_CLASSIFIER": options.classifier,
        "SEMROUTER_MAX_LENGTH": str(options.max_length),
        "SEMROUTER_LAST_POLICY": str(options.last_policy),
    }
    return TritonServer(options.repository, options.run_directory, options.triton_ports, variables)


def _demo_upstreams(options: StackOptions) -> Iterator[ManagedProcess]:
    if options.start_demo_upstreams:
        for port, models in _demo_models(options.upstreams).items():
            yield _demo_upstream(options, port, models)


def _demo_models(upstreams: Path) -> dict[int, list[str]]:
    """Group the models of upstreams.yaml by the port of their endpoints."""
    document = yaml.safe_load(upstreams.read_text(encoding="utf-8"))
    by_port: dict[int, list[str]] = defaultdict(list)
    for model, upstream in document["upstreams"].items():
        for endpoint in upstream["endpoints"]:
            port = urlsplit(endpoint).port
            if port is None:
                raise StartFailed(f"{upstreams}: {endpoint}: expected a port for a demo upstream")
            by_port[port].append(model)
    return by_port


class _Readiness(msgspec.Struct, frozen=True):
    """What the proxy's /health/ready says."""

    degraded: list[str]


class _Part(ManagedProcess):
    """A process that is ready when a GET on its port answers 200."""

    def __init__(self, options: StackOptions, name: str, arguments: list[str], ready: tuple[int, str]) -> None:
        environment = {**os.environ, **_proxy_variables(options)}
        command = [sys.executable, "-m", "local.cli", *arguments]
        super().__init__(name, command, environment, options.run_directory / "logs" / f"{name}.log")
        self._port, self._path = ready

    def start(self) -> None:
        check_port_free(self.name, self._port)
        super().start()
        self.wait_until(lambda: http_status(self._port, "GET", self._path) == HTTP_OK, PART_START_SECONDS)


def _demo_upstream(options: StackOptions, port: int, models: list[str]) -> ManagedProcess:
    arguments = ["demo-upstream", "--port", str(port), *models]
    return _Part(options, f"demo-upstream-{port}", arguments, (port, "/v1/models"))


def _proxy(options: StackOptions) -> ManagedProcess:
    return _Part(options, "router-proxy", ["serve"], (options.proxy_port, "/health/live"))


def _reaches_triton(options: StackOptions) -> bool:
    """Tell whether the proxy gets decisions: it was there first, and rests for up to 2 s when it finds no Triton."""
    answer = http_answer(options.proxy_port, "GET", "/health/ready")
    return answer is not None and "triton" not in msgspec.json.decode(answer[1], type=_Readiness).degraded


def _proxy_variables(options: StackOptions) -> dict[str, str]:
    return {
        "SEMROUTER_ENABLED": os.environ.get("SEMROUTER_ENABLED", "true"),
        "SEMROUTER_CONFIG": str(options.policy),
        "SEMROUTER_UPSTREAMS": str(options.upstreams),
        "SEMROUTER_CANARIES": os.environ.get("SEMROUTER_CANARIES") or str(CHECKOUT / "configs" / "canaries.yaml"),
        "SEMROUTER_TRITON_URL": f"127.0.0.1:{options.triton_ports.grpc}",
        "SEMROUTER_PORT": str(options.proxy_port),
        "SEMROUTER_UI": os.environ.get("SEMROUTER_UI", "true"),
    }


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Turn the stop signals into KeyboardInterrupt, so that one path cleans up, and swallow it at the end."""

    def stop(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a signal handler
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        yield
    except KeyboardInterrupt:
        click.echo("stopped")
