"""Child processes and their logs."""

import os
from pathlib import Path

import pytest

from local.stack.processes import ManagedProcess


@pytest.mark.parametrize("before", [None, 0o644])
def test_only_its_owner_may_read_a_log(tmp_path: Path, before: int | None) -> None:
    log = tmp_path / "logs" / "child.log"
    if before is not None:
        log.parent.mkdir(mode=0o700)
        log.touch(before)
    with ManagedProcess("child", ["/bin/echo", "a prompt"], os.environ, log) as child:
        child.wait_until(lambda: "a prompt" in child.read_log(), 60)

    assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)
