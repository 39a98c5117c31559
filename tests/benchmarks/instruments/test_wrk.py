"""What wrk's last line is read as."""

import pytest

from benchmarks.errors import MeasurementFailed
from benchmarks.instruments.wrk import read_load

LINE = '{"requests":%d,"seconds":2.0,"p50_us":800,"p99_us":900,"failed":%d}'


def test_a_rate_is_requests_over_seconds() -> None:
    found = read_load("Running 2s test\n" + LINE % (500, 0))

    assert (found.rate, found.p50_us) == (250, 800)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        pytest.param(LINE % (500, 3), "3 of 500 requests failed", id="some failed"),
        pytest.param(LINE % (0, 0), "no request was answered within 2.0 s", id="none answered"),
        pytest.param("unable to connect", "unable to connect", id="no server"),
    ],
)
def test_a_load_with_a_failure_measures_nothing(output: str, reason: str) -> None:
    with pytest.raises(MeasurementFailed, match=reason):
        read_load(output)
