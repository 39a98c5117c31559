"""Install and roll back on a real Triton that guards its model control, by the command line."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result
from tritonclient.grpc import InferenceServerClient

from export.bundle.bundling import BundleOptions, build_bundle
from export.bundle.checkpoints import locate_checkpoint
from export.bundle.install_commands import bundle
from export.repository.installation import install_bundle
from export.repository.serving_copy import refresh_serving_copy
from export.repository.triton_flags import CHANGING_APIS, TOKEN_FILE, write_token
from local.stack.triton_server import TritonServer
from tests.conftest import CHECKOUT, StartTriton

NAME = "reasoning_classifier"


class ServedRepository:
    """A repository and the running Triton that serves it."""

    def __init__(self, directory: Path, server: TritonServer) -> None:
        self.directory = directory
        self.server = server
        self.url = f"127.0.0.1:{server.ports.grpc}"

    def ready_versions(self) -> list[int]:
        with InferenceServerClient(self.url) as client:
            return [number for number in range(1, 6) if client.is_model_ready(NAME, str(number))]

    def run(self, *arguments: str, token: str | None = None) -> Result:
        options = ("--repository", str(self.directory), "--triton-url", self.url, "--triton-token-env", "TRITON_TOKEN")
        return CliRunner().invoke(
            bundle, [*arguments, *options], env={"TRITON_TOKEN": self.server.admin_token if token is None else token}
        )


@pytest.fixture(scope="module")
def served(built_bundle: Path, tmp_path_factory: pytest.TempPathFactory, start_triton: StartTriton) -> ServedRepository:
    """Serve the shipped configuration with the small random ModernBERT as version 1."""
    directory = tmp_path_factory.mktemp("served") / "model_repository"
    refresh_serving_copy(CHECKOUT / "model_repository", directory)
    for version in (directory / NAME).glob("[0-9]*"):
        shutil.rmtree(version)
    install_bundle(built_bundle, directory, NAME)
    server = start_triton(directory, CHECKOUT / "configs" / "semantic-router-binary.yaml")
    return ServedRepository(directory, server)


@pytest.fixture
def another_bundle(modernbert: Path, tmp_path: Path) -> Path:
    build_bundle(locate_checkpoint(str(modernbert)), tmp_path / "another", BundleOptions(precision="int8"))
    return tmp_path / "another"


def test_install_serves_the_new_version_beside_the_old_and_rollback_takes_it_away(
    served: ServedRepository, another_bundle: Path
) -> None:
    installed = served.run("install", str(another_bundle))
    after_install = served.ready_versions()
    withdrawn = served.run("rollback", NAME)
    after_rollback = served.ready_versions()

    assert (installed.exit_code, withdrawn.exit_code) == (0, 0), installed.output + withdrawn.output
    assert after_install == [1, 2]
    assert after_rollback == [1]


def test_a_bundle_that_is_refused_leaves_the_running_version_serving(
    served: ServedRepository, another_bundle: Path
) -> None:
    (another_bundle / "model.onnx").write_bytes(b"cut short")

    refused = served.run("install", str(another_bundle))

    assert refused.exit_code == 1
    assert "model.onnx: expected SHA-256" in refused.stderr
    assert served.ready_versions() == [1]


@pytest.mark.parametrize("token", [pytest.param("", id="none"), pytest.param("guessed", id="wrong")])
def test_without_the_token_triton_refuses_and_goes_on_as_before(
    served: ServedRepository, another_bundle: Path, token: str
) -> None:
    refused = served.run("install", str(another_bundle), token=token)

    assert refused.exit_code == 1
    assert "expecting header 'triton-grpc-protocol-semrouter-admin'" in refused.stderr
    assert served.ready_versions() == [1]


def test_the_token_beside_the_repository_is_found(served: ServedRepository, another_bundle: Path) -> None:
    file = served.directory.parent / TOKEN_FILE
    file.write_text(served.server.admin_token)

    installed = served.run("install", str(another_bundle), token="")
    withdrawn = served.run("rollback", NAME, token="")
    file.unlink()

    assert (installed.exit_code, withdrawn.exit_code) == (0, 0), installed.output + withdrawn.output


@pytest.mark.parametrize(
    "path",
    [
        "v2/repository/models/reasoning_classifier/load",
        "v2/repository/models/semantic_router/unload",
        "v2/repository/index",
        "v2/systemsharedmemory/region/any/register",
        "v2/trace/setting",
        "v2/logging",
    ],
)
def test_a_page_in_a_browser_cannot_change_the_server(served: ServedRepository, path: str) -> None:
    headers = {"Content-Type": "text/plain", "Origin": "https://elsewhere.example"}
    request = urllib.request.Request(f"http://127.0.0.1:{served.server.ports.http}/{path}", b"{}", headers)

    with pytest.raises(urllib.error.HTTPError) as refusal, urllib.request.urlopen(request, timeout=10):
        pass

    with refusal.value as answer:
        assert answer.code == 403


def test_nobody_else_can_read_the_token(served: ServedRepository, tmp_path: Path) -> None:
    process = psutil.Process(served.server.pid)
    everything = [each.cmdline() for each in (process, *process.children(recursive=True))]
    token = write_token(tmp_path / TOKEN_FILE)

    assert f"--http-restricted-api={','.join(CHANGING_APIS)}:semrouter-admin={'*' * 43}" in everything[0]
    assert served.server.admin_token not in str(everything)
    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / TOKEN_FILE).read_text() == token
