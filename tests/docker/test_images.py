"""The images, as far as they can be judged without a Docker engine."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack.processes import ManagedProcess, free_ports, http_status
from tests.conftest import CHECKOUT
from tests.docker.conftest import DOCKER, RunTool, link_packages, listed_packages, read_dockerfile

IMAGES = ["triton", "proxy"]
# What the network says when there is none; anything else is the packages' fault.
UNREACHABLE = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "Max retries exceeded", "ProxyError")


@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_finds_nothing_in_the_dockerfile(image: str, run_tool: RunTool) -> None:
    run_tool("hadolint", "--no-color", read_dockerfile(image).file)


@pytest.mark.parametrize("image", IMAGES)
def test_everything_copied_is_in_the_checkout_and_admitted_to_the_build(image: str) -> None:
    dockerfile = read_dockerfile(image)
    ignore = dockerfile.file.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    admitted = [Path(line[1:]) for line in ignore if line.startswith("!")]
    sources = [Path(source) for value in dockerfile.arguments("COPY") if "--from" not in value
               for source in value.split()[:-1]]  # fmt: skip

    missing = [str(source) for source in sources if not (CHECKOUT / source).exists()]
    shut_out = [str(source) for source in sources if not any(source.is_relative_to(path) for path in admitted)]

    assert sources
    assert missing == []
    assert shut_out == []


@pytest.mark.parametrize("image", IMAGES)
def test_the_image_is_pinned_runs_as_uid_1000_and_checks_its_health(image: str) -> None:
    dockerfile = read_dockerfile(image)
    bases = dict(value.split("=", 1) for value in dockerfile.arguments("ARG"))

    assert bases
    assert not [base for base in bases.values() if base.endswith(":latest") or ":" not in base]
    assert dockerfile.arguments("USER") == ["1000:1000"]
    assert dockerfile.arguments("HEALTHCHECK")


def test_the_proxys_image_serves_with_its_own_packages_files_and_environment(tmp_path: Path) -> None:
    """Without this environment's site-packages, so that a package missing from packages.txt is missing here."""
    dockerfile = read_dockerfile("proxy")
    tree = dockerfile.build_tree(tmp_path / "image")
    link_packages(listed_packages("proxy"), tree / "opt/semrouter/packages", with_dependencies=True)
    [variables], [entry] = dockerfile.arguments("ENV"), dockerfile.arguments("ENTRYPOINT")
    environment = dict(each.split("=", 1) for each in re.sub(r"(?<=[=:])/", f"{tree}/", variables).split())
    [port] = free_ports(1)
    environment |= {"SEMROUTER_HOST": "127.0.0.1", "SEMROUTER_PORT": str(port), "SEMROUTER_ENABLED": "true"}
    command = [sys.executable, "-S", *json.loads(entry)[1:]]

    with ManagedProcess("proxy", command, environment, tmp_path / "proxy.log") as process:
        process.wait_until(lambda: http_status(port, "GET", "/health/live") == 200, timeout_seconds=30)


@pytest.mark.parametrize(
    "name", ["semantic-router-binary.yaml", "semantic-router.yaml", "upstreams.yaml", "canaries.yaml"]
)
def test_the_images_carry_the_shipped_configuration(name: str, tmp_path: Path) -> None:
    for image in IMAGES:
        tree = read_dockerfile(image).build_tree(tmp_path / image)

        assert (tree / "etc/semrouter" / name).read_bytes() == (CHECKOUT / "configs" / name).read_bytes()


@pytest.mark.parametrize(("image", "options"), [("triton", ["--no-deps"]), ("proxy", [])], ids=IMAGES)
def test_the_locked_packages_have_wheels_for_the_images_python(image: str, options: list[str], tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"),
        *("--retries", "1", "--python-version", "3.12", "--only-binary=:all:", "--target", str(tmp_path / "none")),
        *("--constraint", str(CHECKOUT / "requirements.lock"), *options),
        *("--requirement", str(DOCKER / image / "packages.txt")),
    ]

    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    if finished.returncode and any(sign in finished.stderr for sign in UNREACHABLE):
        pytest.skip("the package index cannot be reached")
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("image", IMAGES)
def test_the_lock_pins_every_package_of_the_image(image: str) -> None:
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8").lower()

    unpinned = [name for name in listed_packages(image) if f"\n{name.split('[')[0].lower()}==" not in f"\n{lock}"]

    assert unpinned == []


def test_the_stage_that_makes_fp16_graphs_has_all_that_the_command_needs(tmp_path: Path) -> None:
    """With nothing but the packages the stage installs; on one classifier, as it takes half a minute each."""
    lines = (DOCKER / "triton" / "gpu-packages.txt").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    link_packages(packages, tmp_path / "packages", with_dependencies=True)
    repository = tmp_path / "model_repository"
    newest = max(
        (CHECKOUT / "model_repository" / "reasoning_classifier").glob("[0-9]*"), key=lambda path: int(path.name)
    )
    shutil.copytree(newest, repository / "reasoning_classifier" / "1")
    shutil.copy2(newest.parent / "config.pbtxt", repository / "reasoning_classifier")
    core = CHECKOUT / "model_repository" / "semantic_router" / "1"
    [command] = [value for value in read_dockerfile("triton").arguments("RUN") if " gpu " in value]
    words = shlex.split(command.replace("/build/model_repository", str(repository)))

    finished = subprocess.run(
        [sys.executable, "-S", *words[1:]],
        env={"PYTHONPATH": f"{tmp_path / 'packages'}:{CHECKOUT}:{core}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )

    assert finished.returncode == 0, finished.stderr
    assert (repository / "reasoning_classifier" / "1" / "model_fp16.onnx").is_file()
    assert "cc_model_filenames" in (repository / "reasoning_classifier" / "config.pbtxt").read_text()
