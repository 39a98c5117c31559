"""Which names are versions of a model, and what they say."""

from pathlib import Path

import pytest

from routing_policy.versions import VersionName, read_version_name, served_versions, version_directories


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("7", VersionName(7)),
        ("12", VersionName(12)),
        (".7.tmp", VersionName(7, "tmp")),
        (".7.withdrawn", VersionName(7, "withdrawn")),
        (".7.broken", VersionName(7, "broken")),
        ("0", None),
        ("07", None),
        ("\N{ARABIC-INDIC DIGIT SEVEN}", None),
        ("7.tmp", None),
        (".7", None),
        ("warmup", None),
        (".shipped.json", None),
    ],
)
def test_a_name_says_number_and_state(name: str, version: VersionName | None) -> None:
    assert read_version_name(name) == version
    assert version is None or str(version) == name


def test_versions_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", ".11.withdrawn", "warmup"):
        (tmp_path / name).mkdir()
    (tmp_path / "12").write_text("a file")

    assert [str(name) for name in version_directories(tmp_path)] == ["9", "10", ".11.withdrawn"]
    assert list(served_versions(tmp_path)) == [9, 10]
    assert served_versions(tmp_path / "absent") == {}
