"""Every link inside the project leads somewhere."""

from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

from .documents import anchors, documents, links

LINKS = [
    pytest.param(file, target, id=f"{file.relative_to(CHECKOUT)} -> {target}")
    for file in documents()
    for target in links(file)
    if "://" not in target
]


@pytest.mark.parametrize(("file", "target"), LINKS)
def test_a_relative_link_names_an_existing_file_and_heading(file: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    linked = (file.parent / path).resolve() if path else file

    assert linked.exists()
    assert not anchor or anchor in anchors(linked)
