"""When a Triton counts as alive: against a stand-in that counts and answers as a test says, at times given by hand."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from export.repository.triton_health import Health, TritonPlace, look, read_health, write_health


class StandIn:
    """Triton's HTTP and metrics ports in one: `statuses` are those of the next inferences, the last one for ever."""

    def __init__(self) -> None:
        self.succeeded = self.failed = 0
        self.statuses = [200]
        self.asked = 0
        self._lock = threading.Lock()

    def next_status(self) -> int:
        with self._lock:
            self.asked += 1
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            self.succeeded += status == 200
            self.failed += status == 500
            return status

    def metrics(self) -> str:
        model = 'model="semantic_router"'
        return (
            f'nv_inference_request_success{{{model},version="1"}} {self.succeeded}\n'
            f'nv_inference_request_failure{{{model},reason="BACKEND",version="1"}} {self.failed}\n'
            f'nv_inference_request_failure{{model="other",reason="BACKEND",version="1"}} 7\n'
        )


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def place(stand_in: StandIn) -> Iterator[TritonPlace]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, stand_in.metrics())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(stand_in.next_status(), "{}")

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield TritonPlace(url=url, metrics_url=url)
        server.shutdown()


def looks(place: TritonPlace, stand_in: StandIn, *, times: int, succeed_between: int = 0, fail_between: int = 0) -> str:
    """Look every two seconds while others' requests are counted; return the complaint at the end, or nothing."""
    health = look(place, Health(progressed_at=0), 0)
    for number in range(1, times + 1):
        stand_in.succeeded += succeed_between
        stand_in.failed += fail_between
        health = look(place, health, 2 * number)
    return health.complaint(2 * times) or ""


def test_a_server_that_answers_is_alive(place: TritonPlace, stand_in: StandIn) -> None:
    assert looks(place, stand_in, times=10) == ""


def test_a_busy_server_whose_probes_get_no_room_is_alive_while_decisions_are_counted(
    place: TritonPlace, stand_in: StandIn
) -> None:
    stand_in.statuses = [503]

    assert looks(place, stand_in, times=20, succeed_between=1) == ""


def test_a_server_without_progress_is_dead_after_ten_seconds(place: TritonPlace, stand_in: StandIn) -> None:
    stand_in.statuses = [503]

    assert looks(place, stand_in, times=5) == ""
    assert "made no progress for" in looks(place, stand_in, times=6)


def test_a_server_that_fails_a_share_of_our_texts_is_sick(place: TritonPlace, stand_in: StandIn) -> None:
    stand_in.statuses = [200, *([200] * 6 + [500]) * 20, 200]

    assert "failed a share" in looks(place, stand_in, times=5, succeed_between=50, fail_between=8)


def test_texts_of_others_that_nobody_could_judge_make_no_server_sick(place: TritonPlace, stand_in: StandIn) -> None:
    assert looks(place, stand_in, times=10, succeed_between=50, fail_between=50) == ""


def test_a_server_that_failed_for_a_moment_is_not_sick(place: TritonPlace, stand_in: StandIn) -> None:
    stand_in.statuses = [200, 500, 200]

    assert looks(place, stand_in, times=10, succeed_between=5, fail_between=1) == ""


def test_a_server_that_progresses_is_not_asked(place: TritonPlace, stand_in: StandIn) -> None:
    looks(place, stand_in, times=10, succeed_between=1)

    assert stand_in.asked == 0


def test_what_a_look_found_is_read_by_the_next_process(tmp_path: Path) -> None:
    health = Health(succeeded=3, failed=1, progressed_at=12.5, sick_since=11.0)

    write_health(tmp_path / "health", health)

    assert read_health(tmp_path / "health") == health
    assert read_health(tmp_path / "none") is None
    (tmp_path / "broken").write_text('{"progressed_at"', encoding="ascii")
    assert read_health(tmp_path / "broken") is None
