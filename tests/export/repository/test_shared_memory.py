"""What dead stubs left is removed, and nothing that is another server's."""

import mmap
from pathlib import Path

from export.repository.shared_memory import region_prefix, remove_left_regions


def test_only_what_the_same_server_left_and_nobody_maps_is_removed(tmp_path: Path) -> None:
    prefix, others = region_prefix("/srv/one"), region_prefix("/srv/two")
    for name in (f"{prefix}left", f"{prefix}mapped", f"{others}left", "triton_python_backend_shm_region_left"):
        (tmp_path / name).write_bytes(b"\0" * mmap.PAGESIZE)

    with (tmp_path / f"{prefix}mapped").open("r+b") as opened, mmap.mmap(opened.fileno(), 0):
        removed = remove_left_regions(prefix, tmp_path)

    assert removed == 1
    assert {file.name for file in tmp_path.iterdir()} == {
        f"{prefix}mapped",
        f"{others}left",
        "triton_python_backend_shm_region_left",
    }
