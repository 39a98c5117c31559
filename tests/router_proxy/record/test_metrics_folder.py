"""Whose metrics folder is removed when."""

import tempfile
from pathlib import Path

import pytest

from router_proxy.record.metrics_folder import new_metrics_folder, use_metrics_folder


@pytest.fixture(autouse=True)
def own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_the_last_one_to_leave_removes_it() -> None:
    with new_metrics_folder() as folder:
        with use_metrics_folder(folder):
            pass
        stayed = Path(folder).is_dir()

    assert (stayed, Path(folder).exists()) == (True, False)


def test_a_folder_that_killed_processes_left_goes_at_the_next_start_and_one_in_use_stays(tmp_path: Path) -> None:
    left = tmp_path / "semrouter-metrics-left"
    left.mkdir()
    (left / "in-use").touch()
    (left / "counter_1.db").touch()

    with new_metrics_folder() as first, new_metrics_folder():
        stayed = Path(first).is_dir()

    assert (stayed, left.exists()) == (True, False)


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "semrouter-metrics-notes").mkdir()

    with new_metrics_folder():
        pass

    assert (tmp_path / "semrouter-metrics-notes").is_dir()
