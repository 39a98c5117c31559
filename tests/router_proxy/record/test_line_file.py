"""The rotated file and the thread that writes it."""

import logging
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from router_proxy.record.line_file import LineFile, LineWriter

FULL = Path("/dev/full")  # the kernel's own full disk


def write(file: LineFile, *lines: bytes, queue_bytes: int = 2**20) -> Counter[str]:
    """Write `lines` through a writer until all is done; return how many were dropped, by reason."""
    dropped: Counter[str] = Counter()
    writer = LineWriter(file, queue_bytes=queue_bytes, dropped=lambda reason: dropped.update([reason]))
    for line in lines:
        writer.submit(line)
    writer.close()
    return dropped


def parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_lines_are_written_in_order_and_all_of_them_by_the_time_it_is_closed(tmp_path: Path) -> None:
    lines = [b"%d\n" % number for number in range(5000)]

    dropped = write(LineFile(tmp_path / "log", limit_bytes=2**20, parts=2), *lines)

    assert (tmp_path / "log").read_bytes() == b"".join(lines)
    assert not dropped


def test_a_full_file_becomes_part_one_and_the_oldest_part_goes(tmp_path: Path) -> None:
    write(LineFile(tmp_path / "log", limit_bytes=4, parts=3), *(b"%d\n" % number for number in range(10, 15)))

    assert parts(tmp_path) == {"log": b"14\n", "log.1": b"13\n", "log.2": b"12\n"}


def test_parts_beyond_a_lowered_number_go_too(tmp_path: Path) -> None:
    for name in ("log", "log.1", "log.7", "log.old"):
        (tmp_path / name).write_text("old\n")

    write(LineFile(tmp_path / "log", limit_bytes=4, parts=2), b"new\n")

    assert parts(tmp_path) == {"log": b"new\n", "log.1": b"old\n", "log.old": b"old\n"}


def test_a_line_longer_than_a_file_may_be_gets_one_of_its_own(tmp_path: Path) -> None:
    write(LineFile(tmp_path / "log", limit_bytes=4, parts=3), b"a\n", b"much longer\n", b"b\n")

    assert parts(tmp_path) == {"log": b"b\n", "log.1": b"much longer\n", "log.2": b"a\n"}


def test_a_file_moved_by_another_program_is_begun_anew(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "log", limit_bytes=2**20, parts=2)
    file.append(b"before\n")

    (tmp_path / "log").rename(tmp_path / "taken")
    file.append(b"after\n")

    assert parts(tmp_path) == {"log": b"after\n", "taken": b"before\n"}


def test_a_line_cut_short_by_a_crash_is_ended_before_the_next(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b'{"ts": 1}\n{"ts"')

    write(LineFile(tmp_path / "log", limit_bytes=2**20, parts=2), b'{"ts": 3}\n')

    assert (tmp_path / "log").read_bytes() == b'{"ts": 1}\n{"ts"\n{"ts": 3}\n'


def test_a_log_is_for_its_owner_and_group_only(tmp_path: Path) -> None:
    write(LineFile(tmp_path / "log", limit_bytes=2**20, parts=2), b"line\n")

    assert (tmp_path / "log").stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("{folder}/none/log", "No such file or directory", id="no folder"),
        pytest.param("{folder}", "Is a directory", id="a folder"),
        pytest.param("/proc/log", "No such file or directory", id="not writable"),
        pytest.param("{folder}/full", "No space left on device", id="full disk"),
    ],
)
def test_what_cannot_be_written_is_counted_and_reported_once(
    path: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "full").symlink_to(FULL)

    dropped = write(LineFile(Path(path.format(folder=tmp_path)), limit_bytes=2**20, parts=2), b"1\n", b"2\n", b"3\n")

    assert dropped == {"not_written": 3}
    (report,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert reason in report.message


def test_writing_goes_on_once_the_folder_is_there(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "later" / "log", limit_bytes=2**20, parts=2)
    lost = write(file, b"lost\n")

    (tmp_path / "later").mkdir()
    dropped = write(file, b"kept\n")

    assert (lost, dropped) == ({"not_written": 1}, {})
    assert (tmp_path / "later" / "log").read_bytes() == b"kept\n"


def test_a_disk_that_hangs_costs_what_does_not_fit_in_the_queue(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")  # as nobody reads it yet, writing blocks once its buffer is full
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    dropped: Counter[str] = Counter()
    file = LineFile(tmp_path / "log", limit_bytes=2**30, parts=2)
    writer = LineWriter(file, queue_bytes=2**20, dropped=lambda reason: dropped.update([reason]))

    for _ in range(40):
        writer.submit(b"x" * 2**16 + b"\n")

    assert dropped["queue_full"] >= 40 - 2**20 // 2**16 - 2  # the queue's, the pipe's and the one in between
    with ThreadPoolExecutor() as pool:
        closed = pool.submit(writer.close)
        while os.read(reader, 2**20):
            pass
        closed.result()


APPEND = """
import sys
from pathlib import Path
from router_proxy.record.line_file import LineFile
file = LineFile(Path(sys.argv[1]), limit_bytes=20_000, parts=100)
for number in range(3000):
    file.append(b"%s %d %s\\n" % (sys.argv[2].encode(), number, b"x" * (number % 90)))
"""


def test_processes_that_rotate_one_file_lose_and_mix_no_line(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", APPEND, tmp_path / "log", name]) for name in "abc"]
    codes = [writer.wait(60) for writer in writers]

    lines = [line.split() for part in tmp_path.iterdir() for line in part.read_bytes().splitlines()]
    assert codes == [0, 0, 0]
    assert sorted((line[0], int(line[1])) for line in lines) == [
        (w, n) for w in (b"a", b"b", b"c") for n in range(3000)
    ]
    assert all(len(b"".join(line[2:])) == int(line[1]) % 90 for line in lines)
    longest = len("a 2999 ") + 89 + 1
    assert max(part.stat().st_size for part in tmp_path.iterdir()) <= 20_000 + 3 * longest  # all may find room at once
