"""The deployment files as values, and the programs that judge them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import msgspec
import pytest
from packaging.requirements import Requirement

from tests.conftest import CHECKOUT
from tests.router_proxy.conftest import gone_url, start_proxy

__all__ = ["gone_url", "start_proxy"]  # fixtures of the proxy's tests, used here too

DOCKER = CHECKOUT / "docker"
RunTool = Callable[..., str]


@pytest.fixture(scope="session")
def run_tool() -> RunTool:
    """Run a program from the virtual environment or PATH and return its output; its failure fails the test."""

    def run(name: str, *arguments: str | Path, **environ: str) -> str:
        finished = subprocess.run(
            [find_tool(name), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=os.environ | environ,
        )
        assert finished.returncode == 0, f"{name} {arguments}:\n{finished.stdout}\n{finished.stderr}"
        return finished.stdout

    return run


def find_tool(name: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    assert found, f"{name}: expected it in the virtual environment or on PATH; local/prepare.sh installs it"
    return found


class Dockerfile(msgspec.Struct, frozen=True, kw_only=True):
    """A Dockerfile as its instructions, continuation lines joined and comments dropped."""

    file: Path
    instructions: list[tuple[str, str]]

    def arguments(self, instruction: str) -> list[str]:
        return [value for name, value in self.instructions if name == instruction]

    def copied(self) -> Iterator[tuple[str, str]]:
        """Yield source and destination of everything copied from the checkout into the last stage."""
        last_stage = max(index for index, (name, _) in enumerate(self.instructions) if name == "FROM")
        for name, value in self.instructions[last_stage:]:
            if name == "COPY" and not value.startswith("--from"):
                *sources, destination = value.split()
                yield from ((source, destination) for source in sources)

    def build_tree(self, root: Path) -> Path:
        """Lay the image's own files out under `root`, as COPY does, and return `root`."""
        for source, destination in self.copied():
            target = root / destination.lstrip("/")
            if (CHECKOUT / source).is_dir():
                shutil.copytree(CHECKOUT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / source, target)
        return root


def read_dockerfile(image: str) -> Dockerfile:
    file = DOCKER / image / "Dockerfile"
    text = re.sub(r"^#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return Dockerfile(file=file, instructions=[(name, " ".join(value.split())) for name, value in lines])


def listed_packages(image: str) -> list[str]:
    lines = (DOCKER / image / "packages.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def link_packages(requirements: list[str], directory: Path, *, with_dependencies: bool) -> Path:
    """Link what `pip install --target directory` would put there from this virtual environment."""
    directory.mkdir(parents=True, exist_ok=True)
    waiting, done = [Requirement(each) for each in requirements], set()
    while waiting:
        requirement = waiting.pop()
        if (key := str(requirement)) in done:
            continue
        done.add(key)
        found = distribution(requirement.name)
        for entry in {file.parts[0] for file in found.files or [] if file.parts[0] != ".."}:
            if not (directory / entry).exists():
                (directory / entry).symlink_to(Path(str(found.locate_file(entry))))
        if with_dependencies:
            waiting += _dependencies(found.requires or [], requirement.extras)
    return directory


def _dependencies(lines: list[str], extras: set[str]) -> list[Requirement]:
    requirements = [Requirement(line) for line in lines]
    return [
        each
        for each in requirements
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in (extras or {""}))
    ]
