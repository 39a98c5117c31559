"""tritonserver from the PyPI wheel nvidia-pytriton: where its parts are, and the command that serves a repository."""

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import msgspec

from export.repository.triton_flags import CHANGING_APIS, serving_flags
from local.errors import TritonUnavailable

ONNXRUNTIME_BACKEND = Path(__file__).parents[1] / "backends" / "onnxruntime" / "model.py"
_SAFE_PATH = re.compile(r"[\w./+@%=:,-]+")


class TritonPorts(msgspec.Struct, frozen=True, kw_only=True):
    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002


class TritonInstallation(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of an unpacked wheel that a running server needs."""

    server: Path
    libraries: Path
    python_backend: Path
    stub: Path
    libpython_directory: Path


def find_installation() -> TritonInstallation:
    """Locate tritonserver, its Python backend and the stub for this interpreter; TritonUnavailable names what lacks."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise TritonUnavailable("tritonserver: expected the package nvidia-pytriton: pip install '.[local]'")
    package = Path(spec.origin).parent
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = package / "tritonserver" / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise TritonUnavailable(f"tritonserver: no Python backend stub for Python {version} in {stub.parent.parent}")
    return TritonInstallation(
        server=package / "tritonserver" / "bin" / "tritonserver",
        libraries=package.parent / "nvidia_pytriton.libs",
        python_backend=package / "tritonserver" / "backends" / "python",
        stub=stub,
        libpython_directory=_libpython_directory(version),
    )


def assemble_backends(installation: TritonInstallation, directory: Path) -> Path:
    """Lay out a --backend-directory with the Python backend, its stub and our `onnxruntime`; return it."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(installation.python_backend, directory / "python")
    shutil.copy2(installation.stub, directory / "python")
    (directory / "onnxruntime").mkdir()
    shutil.copy2(ONNXRUNTIME_BACKEND, directory / "onnxruntime")
    return directory


def server_command(
    installation: TritonInstallation,
    repository: Path,
    backends: Path,
    *,
    ports: TritonPorts,
    admin_token: str,
    extra: Sequence[str],
) -> list[str]:
    """Return the command that serves every model of `repository` that has a version, on loopback; `extra` wins.

    Loading a model runs code, and any page in a browser can send a request to loopback: both want `admin_token`.
    """
    for path in (repository, backends):
        _check_path(path)
    return [
        str(installation.server),
        f"--backend-directory={backends}",
        *serving_flags(repository, admin_token, CHANGING_APIS),
        "--http-address=127.0.0.1",
        f"--http-port={ports.http}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={ports.grpc}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={ports.metrics}",
        *extra,
    ]


def server_environment(installation: TritonInstallation, variables: dict[str, str]) -> dict[str, str]:
    """Return the environment of tritonserver: this one, `variables`, and where its libraries and Python are.

    The stub embeds libpython and finds its packages through the first `python3` on PATH.
    """
    return {
        **os.environ,
        **variables,
        "LD_LIBRARY_PATH": f"{installation.libraries}:{installation.libpython_directory}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _libpython_directory(version: str) -> Path:
    library = f"libpython{version}.so.1.0"
    directories = [sysconfig.get_config_var("LIBDIR"), f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"]
    for directory in map(Path, filter(None, directories)):
        if (directory / library).is_file():
            return directory
    raise TritonUnavailable(f"tritonserver: expected {library}: apt-get install libpython{version}")


def _check_path(path: Path) -> None:
    """Refuse what Triton's Python backend would hand unquoted to a shell (stub_launcher.cc)."""
    if not _SAFE_PATH.fullmatch(str(path)):
        raise TritonUnavailable(f"{path}: expected a path without spaces or shell characters: Triton cannot serve it")
