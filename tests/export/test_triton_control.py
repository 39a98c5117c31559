"""Install and roll back on a real Triton, over the gRPC call the command line makes."""

import functools
import shutil
from pathlib import Path

import pytest
from tritonclient.grpc import InferenceServerClient

from export.bundling import BundleOptions, build_bundle
from export.checkpoints import locate_checkpoint
from export.installation import LoadModel, install_bundle, rollback
from export.triton_control import load_model
from local.serving_copy import refresh_serving_copy
from tests.conftest import CHECKOUT, StartTriton

NAME = "reasoning_classifier"


class ServedRepository:
    """A repository and the running Triton that serves it."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url
        self.load: LoadModel = functools.partial(load_model, url)

    def ready_versions(self) -> list[int]:
        with InferenceServerClient(self.url) as client:
            return [number for number in range(1, 6) if client.is_model_ready(NAME, str(number))]


@pytest.fixture(scope="module")
def served(built_bundle: Path, tmp_path_factory: pytest.TempPathFactory, start_triton: StartTriton) -> ServedRepository:
    """Serve the shipped configuration with the small random ModernBERT as version 1."""
    directory = tmp_path_factory.mktemp("served") / "model_repository"
    refresh_serving_copy(CHECKOUT / "model_repository", directory)
    for version in (directory / NAME).glob("[0-9]*"):
        shutil.rmtree(version)
    install_bundle(built_bundle, directory, NAME)
    server = start_triton(directory, CHECKOUT / "configs" / "semantic-router-binary.yaml")
    return ServedRepository(directory, f"127.0.0.1:{server.ports.grpc}")


def test_install_serves_the_new_version_beside_the_old_and_rollback_takes_it_away(
    served: ServedRepository, modernbert: Path, tmp_path: Path
) -> None:
    build_bundle(locate_checkpoint(str(modernbert)), tmp_path, BundleOptions(precision="int8"))

    install_bundle(tmp_path, served.directory, NAME, served.load)
    after_install = served.ready_versions()
    rollback(served.directory, NAME, served.load)
    after_rollback = served.ready_versions()

    assert after_install == [1, 2]
    assert after_rollback == [1]
