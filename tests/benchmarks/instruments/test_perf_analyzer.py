"""What perf_analyzer's profile export is read as."""

import msgspec
import pytest

from benchmarks.errors import MeasurementFailed
from benchmarks.instruments.perf_analyzer import read_report

MILLISECOND = 1_000_000


def export(times_ms: list[tuple[int, int]]) -> bytes:
    """Write an export whose requests were sent and answered at these milliseconds."""
    requests = [
        {"timestamp": sent * MILLISECOND, "response_timestamps": [done * MILLISECOND], "request_inputs": {"text": "?"}}
        for sent, done in times_ms
    ]
    return msgspec.json.encode({"experiments": [{"requests": requests, "window_boundaries": []}], "version": "1"})


def test_the_rate_leaves_out_the_answers_of_clients_that_start_and_end() -> None:
    """Two clients: one answer each 10 ms while both are busy, faster at both ends."""
    answers = [1, 2, 12, 22, 32, 42, 43, 44]

    report = read_report(export([(0, answer) for answer in answers]), clients=2)

    assert report.rate == pytest.approx(100)


def test_latencies_count_every_request() -> None:
    report = read_report(export([(0, 10), (10, 22), (22, 30), (30, 130)]), clients=1)

    assert report.p50_us == pytest.approx(11_000)
    assert report.p99_us == pytest.approx(97_360)


def test_a_request_without_an_answer_is_no_measurement() -> None:
    unanswered = msgspec.json.encode({"experiments": [{"requests": [{"timestamp": 1, "response_timestamps": []}] * 9}]})

    with pytest.raises(MeasurementFailed, match="0 of 9 requests were answered"):
        read_report(unanswered, clients=1)
