"""A tritonserver that stops answering comes back by itself."""

import time

import psutil

from tests.semantic_router.conftest import MakeRouter, make_router  # noqa: F401 - a fixture


def test_a_server_whose_python_model_died_is_restarted(make_router: MakeRouter) -> None:  # noqa: F811 - the fixture
    router = make_router()
    for child in psutil.Process(router.server.pid).children(recursive=True):
        child.kill()

    deadline = time.monotonic() + 60
    while not router.server.supervise():
        assert time.monotonic() < deadline

    assert router.decide_one("hard").target == "big"
