"""Real servers for every test that needs one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from export.repository.serving_copy import refresh_serving_copy
from local.stack.processes import free_ports
from local.stack.triton import TritonPorts
from local.stack.triton_server import TritonServer
from tests.chromium import PROGRAM, run_chromium

CHECKOUT = Path(__file__).parent.parent
StartTriton = Callable[..., TritonServer]


@pytest.fixture(scope="session")
def start_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartTriton]:
    """Start tritonserver on a repository with a policy and more arguments; it is stopped at the end of the session."""
    with ExitStack() as servers:

        def start(repository: Path, policy: Path, *arguments: str, **variables: str) -> TritonServer:
            http, grpc, metrics = free_ports(3)
            server = TritonServer(
                repository,
                tmp_path_factory.mktemp("triton"),
                TritonPorts(http=http, grpc=grpc, metrics=metrics),
                {"SEMROUTER_CONFIG": str(policy), "SEMROUTER_CLASSIFIER": "", **variables},
                extra=arguments,
            )
            servers.enter_context(server)
            server.wait_ready()
            return server

        yield start


@pytest.fixture(scope="session")
def real_triton(tmp_path_factory: pytest.TempPathFactory, start_triton: StartTriton) -> TritonServer:
    """Serve the shipped repository under the binary policy, as `make run` does."""
    repository = tmp_path_factory.mktemp("shipped") / "model_repository"
    refresh_serving_copy(CHECKOUT / "model_repository", repository)
    return start_triton(repository, CHECKOUT / "configs" / "semantic-router-binary.yaml")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a browser and yield the address it is driven at; `tests.chromium.open_tab` takes it."""
    if PROGRAM is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with run_chromium(tmp_path_factory.mktemp("chromium")) as devtools_url:
        yield devtools_url
