"""Install and roll back on a real Triton that guards its model control, by the command line."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tritonclient.grpc import InferenceServerClient

from docker.triton.entrypoint import ADMIN_HEADER, GUARDED_APIS
from export.bundle.bundling import BundleOptions, build_bundle
from export.bundle.checkpoints import locate_checkpoint
from export.repository.commands import bundle
from export.repository.installation import install_bundle
from export.repository.serving_copy import refresh_serving_copy
from tests.conftest import CHECKOUT, StartTriton

NAME = "reasoning_classifier"
TOKEN = "let-me-in"


class ServedRepository:
    """A repository and the running Triton that serves it."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url

    def ready_versions(self) -> list[int]:
        with InferenceServerClient(self.url) as client:
            return [number for number in range(1, 6) if client.is_model_ready(NAME, str(number))]

    def run(self, *arguments: str, token: str) -> Result:
        options = ("--repository", str(self.directory), "--triton-url", self.url, "--triton-token-env", "TRITON_TOKEN")
        return CliRunner().invoke(bundle, [*arguments, *options], env={"TRITON_TOKEN": token})


@pytest.fixture(scope="module")
def served(built_bundle: Path, tmp_path_factory: pytest.TempPathFactory, start_triton: StartTriton) -> ServedRepository:
    """Serve the shipped configuration with the small random ModernBERT as version 1, guarded as the container is."""
    directory = tmp_path_factory.mktemp("served") / "model_repository"
    refresh_serving_copy(CHECKOUT / "model_repository", directory)
    for version in (directory / NAME).glob("[0-9]*"):
        shutil.rmtree(version)
    install_bundle(built_bundle, directory, NAME)
    server = start_triton(
        directory,
        CHECKOUT / "configs" / "semantic-router-binary.yaml",
        f"--grpc-restricted-protocol={GUARDED_APIS}:{ADMIN_HEADER}={TOKEN}",
    )
    return ServedRepository(directory, f"127.0.0.1:{server.ports.grpc}")


@pytest.fixture
def another_bundle(modernbert: Path, tmp_path: Path) -> Path:
    build_bundle(locate_checkpoint(str(modernbert)), tmp_path / "another", BundleOptions(precision="int8"))
    return tmp_path / "another"


def test_install_serves_the_new_version_beside_the_old_and_rollback_takes_it_away(
    served: ServedRepository, another_bundle: Path
) -> None:
    installed = served.run("install", str(another_bundle), token=TOKEN)
    after_install = served.ready_versions()
    withdrawn = served.run("rollback", NAME, token=TOKEN)
    after_rollback = served.ready_versions()

    assert (installed.exit_code, withdrawn.exit_code) == (0, 0), installed.output + withdrawn.output
    assert after_install == [1, 2]
    assert after_rollback == [1]


def test_a_bundle_that_is_refused_leaves_the_running_version_serving(
    served: ServedRepository, another_bundle: Path
) -> None:
    (another_bundle / "model.onnx").write_bytes(b"cut short")

    refused = served.run("install", str(another_bundle), token=TOKEN)

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
