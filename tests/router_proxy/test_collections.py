"""What a server tells the garbage collector."""

import gc
from collections.abc import Iterator

import pytest

from router_proxy.server import spare_collections


@pytest.fixture
def collector_as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("collector_as_it_was")
def test_what_is_there_before_the_first_request_is_never_looked_through_again() -> None:
    kept: list[object] = [[]]

    spare_collections()

    assert not any(each is kept for each in gc.get_objects())
    assert gc.get_threshold() == (10_000, 10, 10)
