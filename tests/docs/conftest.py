"""The stack that `make run` starts, for the commands that the documents print."""

from collections.abc import Iterator

import pytest

from tests.system.conftest import Stack, run_stack

CLASSIFIERS = {"keyword": ("--classifier", "keyword"), "onnx": ()}


@pytest.fixture(scope="session", params=CLASSIFIERS)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with run_stack(tmp_path_factory.mktemp(f"docs_{request.param}"), *CLASSIFIERS[request.param]) as running:
        yield running
