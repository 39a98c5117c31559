"""The table of failures, row by row: stage it, ask, and compare what the client sees and which metric moves."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.stand_ins.triton import StandInTriton

from . import failures_of_clients, failures_of_the_proxy, failures_of_triton, failures_of_upstreams
from .conftest import GENERAL, StartProxy, StartRaw, StartUpstream
from .reference_tables import Expectation, expected_metrics, expected_status, rows
from .scene import Scene, Seen, Stage

ROWS = rows("When something breaks")
STAGES: dict[str, list[Stage]] = {
    **failures_of_triton.FAILURES,
    **failures_of_upstreams.FAILURES,
    **failures_of_the_proxy.FAILURES,
    **failures_of_clients.FAILURES,
}


CASES = [pytest.param(what, stage, id=what) for what, stages in STAGES.items() for stage in stages]


@pytest.fixture
def scene(
    start_proxy: StartProxy,
    start_raw: StartRaw,
    start_upstream: StartUpstream,
    stand_in: StandInTriton,
    stand_in_url: str,
    gone_url: str,
    tmp_path: Path,
) -> Scene:
    return Scene(
        start_proxy=start_proxy,
        start_raw=start_raw,
        start_upstream=start_upstream,
        triton=stand_in,
        triton_url=stand_in_url,
        gone_url=gone_url,
        directory=tmp_path,
    )


def test_every_row_is_staged_and_nothing_else() -> None:
    assert list(STAGES) == list(ROWS)


@pytest.mark.parametrize(("what", "stage"), CASES)
async def test_a_failure_looks_as_the_table_says(scene: Scene, what: str, stage: Stage) -> None:
    sees, metric = ROWS[what]

    seen = await stage(scene)

    assert (seen.answer.status if seen.answer else None) == expected_status(sees)
    if seen.answer is not None:
        assert ("retry-after" in seen.answer.headers) == ("Retry-After" in sees)
        assert "abstain target" not in sees or seen.answer.body["model"] == GENERAL
        assert "unchanged" not in sees or seen.answer.body["message"] == "no"
    expectations = expected_metrics(metric)
    assert expectations
    exposed = await seen.proxy.metrics()
    assert [each for each in expectations if not _holds(each, exposed)] == []
    assert [each for each in expectations if not _agrees(each, seen)] == []


def _holds(expectation: Expectation, exposed: str) -> bool:
    """Whether a sample is as expected; a proxy just started has counted nothing else yet."""
    values = [
        sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
        if sample.name == expectation.name and expectation.labels.items() <= sample.labels.items()
    ]
    return any(value >= 1 if expectation.value is None else value == expectation.value for value in values)


def _agrees(expectation: Expectation, seen: Seen) -> bool:
    """Whether the answer's own header names the outcome that is counted."""
    outcome = expectation.labels.get("outcome")
    return outcome is None or seen.answer is None or seen.answer.outcome == outcome
