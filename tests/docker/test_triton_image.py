"""The Triton image's own files on the wheel's tritonserver: what is left untested is the base image itself."""

import os
import subprocess
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError

import msgspec
import psutil
import pytest

from export.repository.triton_health import read_health, write_health
from local.stack.processes import ManagedProcess, free_ports
from local.stack.triton import assemble_backends, find_installation, server_environment
from tests.docker.conftest import link_packages, listed_packages, read_dockerfile

TOKEN = "t0ken"


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """The image's tree, run with the packages of the image, NumPy and no others."""

    tree: Path
    environment: dict[str, str]
    process: ManagedProcess
    url: str
    metrics_url: str

    def probe(self, *arguments: str) -> int:
        places = ("--url", self.url, "--metrics-url", self.metrics_url)
        return run_script(self.tree, "probe.py", self.environment, *places, *arguments).returncode

    def post(self, path: str, **headers: str) -> int:
        """Send an empty body and return the status; `headers` have _ for -."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, b"", sent), timeout=10) as response:
                return int(response.status)
        except HTTPError as error:
            with error:
                return error.code


def run_script(
    tree: Path, name: str, environment: dict[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    command = ["python3", str(tree / "opt/semrouter/docker/triton" / name), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return read_dockerfile("triton").build_tree(tmp_path_factory.mktemp("image"))


@pytest.fixture
def environment(tree: Path, tmp_path: Path) -> dict[str, str]:
    """Return the image's environment, with a Python that has the image's packages and none of ours."""
    venv.create(tmp_path / "python", with_pip=False, symlinks=True)
    [packages] = (tmp_path / "python").glob("lib/python*/site-packages")
    link_packages([*listed_packages("triton"), "numpy"], packages, with_dependencies=False)
    # Stands in for the C++ ONNX Runtime backend of the NGC image.
    link_packages(["onnxruntime"], packages, with_dependencies=True)
    repository = tmp_path / "model_repository"
    repository.mkdir()
    installation = find_installation()
    return {
        "LD_LIBRARY_PATH": server_environment(installation, {})["LD_LIBRARY_PATH"],
        "PATH": f"{installation.server.parent}:{tmp_path / 'python/bin'}:/usr/bin:/bin",
        "PYTHONPATH": f"{tree}/opt/semrouter:{tree}/opt/semrouter/model_repository/semantic_router/1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "SEMROUTER_CONFIG": str(tree / "etc/semrouter/semantic-router-binary.yaml"),
        "SEMROUTER_CLASSIFIER": "keyword",
        "SEMROUTER_REPOSITORY": str(repository),
        "SEMROUTER_TRITON_ADMIN_TOKEN": TOKEN,
        "SEMROUTER_TRITON_PID_FILE": str(tmp_path / "tritonserver.pid"),
    }


@pytest.fixture
def container(tree: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Container]:
    http, grpc, metrics = free_ports(3)
    command = [
        *("python3", str(tree / "opt/semrouter/docker/triton/entrypoint.py")),
        f"--backend-directory={assemble_backends(find_installation(), tmp_path / 'backends')}",
        *(f"--{protocol}-address=127.0.0.1" for protocol in ("http", "grpc", "metrics")),
        *(f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"),
    ]
    with ExitStack() as stack:
        process = ManagedProcess("triton", command, environment, tmp_path / "tritonserver.log")
        url, metrics_url = f"http://127.0.0.1:{http}", f"http://127.0.0.1:{metrics}"
        running = Container(tree=tree, environment=environment, process=process, url=url, metrics_url=metrics_url)
        stack.enter_context(process)
        process.wait_until(lambda: running.probe() == 0, timeout_seconds=60)
        yield running


def test_the_entry_point_serves_behind_its_guard_and_the_probe_kills_a_server_that_went_silent(
    container: Container,
) -> None:
    """One server for the life of a container, as starting it is what takes the time."""
    assert container.post("/v2/repository/index") == 403
    assert container.post("/v2/repository/index", semrouter_admin=TOKEN) == 200
    assert container.post("/v2/systemsharedmemory/region/mine/register") == 403

    server = psutil.Process(container.process.pid)
    for stub in _stubs(container.process.pid):
        stub.kill()
    assert container.probe("--kill-after", "10") == 0  # not for long enough yet
    assert container.process.is_running

    _make_progress_older_by(60, container.environment)
    assert container.probe("--kill-after", "10") == 1
    assert psutil.wait_procs([server], timeout=10)[0] == [server]


def test_refresh_only_copies_the_repository(tree: Path, environment: dict[str, str]) -> None:
    finished = run_script(tree, "entrypoint.py", environment, "refresh")

    repository = Path(environment["SEMROUTER_REPOSITORY"])
    assert (finished.returncode, finished.stderr) == (0, "")
    assert (repository / "semantic_router/1/model.py").is_file()
    assert not Path(environment["SEMROUTER_TRITON_PID_FILE"]).exists()


def test_a_bundle_to_install_is_refused_because_the_image_only_serves(tree: Path, environment: dict[str, str]) -> None:
    finished = run_script(tree, "entrypoint.py", environment | {"SEMROUTER_MODEL_PATH": "/models/mine"})

    assert finished.returncode == 1
    assert "semrouter bundle install" in finished.stderr


def test_a_server_that_never_answered_is_left_to_start(tree: Path, environment: dict[str, str]) -> None:
    Path(environment["SEMROUTER_TRITON_PID_FILE"]).write_text(str(os.getpid()), encoding="ascii")
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"

    finished = run_script(tree, "probe.py", environment, "--url", nobody, "--kill-after", "0")

    assert finished.returncode == 1


def test_answers_of_the_server_before_a_restart_are_forgotten(
    tree: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "tritonserver").write_text("#!/bin/sh\n", encoding="ascii")
    (tmp_path / "tritonserver").chmod(0o755)
    answered = Path(environment["SEMROUTER_TRITON_PID_FILE"]).with_suffix(".health")
    answered.touch()

    finished = run_script(tree, "entrypoint.py", environment | {"PATH": f"{tmp_path}:{environment['PATH']}"})

    assert (finished.returncode, finished.stderr) == (0, "")
    assert not answered.exists()


def _stubs(pid: int) -> list[psutil.Process]:
    return [each for each in psutil.Process(pid).children(recursive=True) if "stub" in each.name()]


def _make_progress_older_by(seconds: float, environment: dict[str, str]) -> None:
    notes = Path(environment["SEMROUTER_TRITON_PID_FILE"]).with_suffix(".health")
    health = read_health(notes)
    assert health is not None
    write_health(notes, replace(health, progressed_at=health.progressed_at - seconds))
