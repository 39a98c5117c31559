"""The run-time copy of the model repository that Triton serves: installing a bundle never touches the checkout."""

import shutil
from pathlib import Path

ROUTER = "semantic_router"
WITHDRAWN = ".withdrawn"


def refresh_serving_copy(source: Path, copy: Path) -> None:
    """Bring `copy` up to date with `source`, before Triton starts.

    Code, configuration and shipped versions follow the checkout; versions and models installed into the copy stay,
    and a shipped version that was withdrawn stays withdrawn.
    """
    copy.mkdir(parents=True, exist_ok=True)
    for model in sorted(entry for entry in source.iterdir() if entry.is_dir()):
        if model.name == ROUTER:
            shutil.rmtree(copy / ROUTER, ignore_errors=True)
            shutil.copytree(model, copy / ROUTER, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            _refresh_classifier(model, copy / model.name)


def models_with_versions(repository: Path) -> list[str]:
    return sorted({version.parent.name for version in repository.glob("*/*") if version.name.isdecimal()})


def _refresh_classifier(source: Path, copy: Path) -> None:
    copy.mkdir(exist_ok=True)
    for entry in source.iterdir():
        if entry.is_file():
            shutil.copy2(entry, copy / entry.name)
        elif not (copy / f".{entry.name}{WITHDRAWN}").exists():
            shutil.rmtree(copy / entry.name, ignore_errors=True)
            shutil.copytree(entry, copy / entry.name)
