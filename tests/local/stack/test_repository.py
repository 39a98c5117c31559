"""The router for a Triton that is there already: written, served by a server started by hand, checked in place."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from local.cli import main
from local.stack.processes import ManagedProcess, free_ports, http_status
from local.stack.triton import assemble_backends, find_installation, server_environment
from tests.conftest import CHECKOUT


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("own") / "models"
    result = CliRunner().invoke(main, ["repository", "--output", str(output)])
    assert result.exit_code == 0, result.output
    return output


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assemble_backends(find_installation(), tmp_path_factory.mktemp("backends"))


@pytest.fixture(scope="module")
def server_url(written: Path, backends: Path) -> Iterator[str]:
    """Start the server with the flags that the README of the folder prints, as somebody would by hand."""
    installation = find_installation()
    http, grpc, metrics = free_ports(3)
    printed = [line.strip(" \\") for line in (written / "README.md").read_text().splitlines() if "  --" in line]
    command = [
        str(installation.server),
        f"--model-repository={written / 'model_repository'}",
        f"--backend-directory={backends}",
        *printed,
        *(f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}", "--http-address=127.0.0.1"),
    ]
    environment = server_environment(installation, {"SEMROUTER_CONFIG": str(written / "policy.yaml")})
    with ManagedProcess("tritonserver", command, environment, written.parent / "log") as server:
        server.wait_until(lambda: http_status(http, "GET", "/v2/health/ready") == 200, 90)
        yield f"http://127.0.0.1:{http}"


def check(folder: Path, *arguments: str | Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(folder / "installed_check.py"), *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_server_started_by_hand_serves_it_and_the_check_agrees(
    written: Path, backends: Path, server_url: str
) -> None:
    policy = str(written / "policy.yaml")

    result = check(written, "--backend-directory", backends, "--url", server_url, SEMROUTER_CONFIG=policy)

    assert result.returncode == 0, result.stdout + result.stderr
    assert {line.split()[0] for line in result.stdout.splitlines()} == {"ok"}
    assert "ok     a decision for meta-llama/Meta-Llama-3.1-8B-Instruct" in result.stdout


def test_the_check_names_everything_that_is_missing(written: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(written, copy)
    model = max((copy / "model_repository" / "topic_classifier").glob("[0-9]*/model.onnx"))
    model.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")

    result = check(copy, "--backend-directory", tmp_path, "--url", "http://127.0.0.1:9", SEMROUTER_CONFIG="/none")

    wrong = [line.removeprefix("wrong  ") for line in result.stdout.splitlines() if line.startswith("wrong")]
    assert result.returncode == 1
    assert [line.split(":")[0] for line in wrong] == [
        "backend onnxruntime",
        "backend python",
        f"bundle topic_classifier/{model.parent.name}",
        "policy /none",
        "a decision",
    ]


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")

    result = CliRunner().invoke(main, ["repository", "--output", str(tmp_path)])

    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path}: expected a new or an empty folder\n"
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_the_packages_are_those_of_the_image() -> None:
    listed = (CHECKOUT / "docker" / "triton" / "packages.txt").read_text().splitlines()

    result = CliRunner().invoke(main, ["repository", "--help"])

    from local.stack.repository import PACKAGES

    assert result.exit_code == 0
    assert sorted(line for line in listed if not line.startswith("#")) == sorted(PACKAGES)
