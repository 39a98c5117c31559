"""Versions whose files are not those that their bundle.json names: set aside, so that Triton starts with the others.

Triton serves no version of a model when one fails to load, and ends.
"""

import hashlib
import json
import shutil
from pathlib import Path

from routing_policy.versions import VersionName, served_versions


def set_aside_broken_versions(repository: Path) -> list[str]:
    """Rename broken versions out of Triton's sight, and say of each why; a model without any is not loaded."""
    told = []
    for model in sorted(entry for entry in repository.iterdir() if entry.is_dir()):
        versions = list(served_versions(model).values())
        told += [_set_aside(version, problem) for version in versions if (problem := _problem(version))]
    return told


def _set_aside(version: Path, problem: str) -> str:
    aside = version.with_name(str(VersionName(int(version.name), "broken")))
    shutil.rmtree(aside, ignore_errors=True)
    version.rename(aside)
    return f"{version.parent.name} version {version.name} is not served, its files are now in {aside}: {problem}"


def _problem(version: Path) -> str | None:
    """Return what is wrong with a version; None also for one that is no bundle of ours."""
    bundle = version / "bundle.json"
    if not bundle.is_file():
        return None
    try:
        files = json.loads(bundle.read_text(encoding="utf-8"))["files"]
        wrong = [name for name, expected in sorted(files.items()) if _sha256(version / name) != expected]
    except OSError as exc:
        return f"{exc.filename}: {exc.strerror}"
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        return f"bundle.json: expected files with their SHA-256: {exc!r}"
    return f"{', '.join(wrong)}: expected the SHA-256 that bundle.json names" if wrong else None


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
