"""How the versions of a model are named in a repository: `7` is served; Triton passes over what begins with a dot."""

import re
from pathlib import Path
from typing import Literal, NamedTuple

State = Literal["served", "tmp", "withdrawn", "broken"]
_SERVED = re.compile(r"[1-9][0-9]*")  # Triton passes over a leading zero, too
_HIDDEN = re.compile(r"\.([1-9][0-9]*)\.(tmp|withdrawn|broken)")


class VersionName(NamedTuple):
    """`.7.tmp` is still being copied, `.7.withdrawn` was rolled back, `.7.broken` is not what its bundle says."""

    number: int
    state: State = "served"

    def __str__(self) -> str:
        return str(self.number) if self.state == "served" else f".{self.number}.{self.state}"


def read_version_name(name: str) -> VersionName | None:
    """Return what a directory's name says; None for one that is no version's."""
    if _SERVED.fullmatch(name):
        return VersionName(int(name))
    hidden = _HIDDEN.fullmatch(name)
    return VersionName(int(hidden[1]), hidden[2]) if hidden else None  # type: ignore[arg-type]  # the states it matches


def version_directories(model: Path) -> dict[VersionName, Path]:
    """Return every version directory of a model, in the order of their numbers."""
    named = [(read_version_name(entry.name), entry) for entry in model.glob("*") if entry.is_dir()]
    return dict(sorted((name, entry) for name, entry in named if name is not None))


def served_versions(model: Path) -> dict[int, Path]:
    """Return the version directories that Triton would serve, the newest last."""
    return {name.number: entry for name, entry in version_directories(model).items() if name.state == "served"}
