"""The run-time copy of the model repository that Triton serves: installing a bundle never touches the checkout."""

import json
import shutil
from pathlib import Path

from routing_policy.versions import VersionName, read_version_name, served_versions

ROUTER = "semantic_router"
RECORD = ".shipped.json"  # of each version number that came from the checkout, the revision it had


def refresh_serving_copy(source: Path, copy: Path) -> list[Path]:
    """Bring `copy` up to date with `source`, before Triton starts.

    Code, configuration and shipped versions follow the checkout. Versions and models installed into the copy stay,
    and a shipped version that was withdrawn stays withdrawn. Returns the shipped versions that were left out because
    their number is taken by an installed one.
    """
    copy.mkdir(parents=True, exist_ok=True)
    left_out: list[Path] = []
    for model in sorted(entry for entry in source.iterdir() if entry.is_dir()):
        if model.name == ROUTER:
            _replace(copy / ROUTER, model)
        else:
            left_out += _refresh_classifier(model, copy / model.name)
    return left_out


def advice_on(left_out: Path) -> str:
    """Say what an operator can do about a shipped version that was left out."""
    name = f"{left_out.parent.name} version {left_out.name}"
    return f"{name} is one you installed and stays; to use the shipped one: semrouter bundle install {left_out}"


def models_with_versions(repository: Path) -> list[str]:
    return sorted(model.name for model in repository.glob("*") if served_versions(model))


def _refresh_classifier(source: Path, copy: Path) -> list[Path]:
    copy.mkdir(exist_ok=True)
    record = _read_json(copy / RECORD)
    left_out: list[Path] = []
    for entry in sorted(source.iterdir()):
        target = copy / entry.name
        if entry.is_file():
            shutil.copy2(entry, target)
        elif (version := read_version_name(entry.name)) is None:
            _replace(target, entry)
        elif (copy / str(VersionName(version.number, "withdrawn"))).exists():
            continue
        elif _revision(target) in {None, _revision(entry), record.get(entry.name)}:
            _replace(target, entry)
            record[entry.name] = _revision(entry)
        else:
            left_out.append(entry)
    (copy / RECORD).write_text(json.dumps(record), encoding="utf-8")
    return left_out


def _replace(target: Path, source: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def _revision(version: Path) -> str | None:
    """Return the revision of the bundle in `version`, None where there is none or a copy was cut off."""
    return _read_json(version / "bundle.json").get("revision")


def _read_json(file: Path) -> dict[str, str | None]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
