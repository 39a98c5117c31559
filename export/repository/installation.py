"""Put bundles into a Triton model repository as new versions, and take the newest one back out, while Triton serves."""

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from export.classifier.inference import open_session, run_logits
from export.errors import BundleRejected, ExportError, GraphUnusable, TritonRefused, VersionNotFound
from routing_policy.bundle import BUNDLE_FILE, MODEL_FILE, TOKENIZER_FILE, Bundle, read_bundle
from routing_policy.errors import BundleInvalid
from routing_policy.versions import VersionName, version_directories

from .bundle_checks import check_bundle
from .triton_config import (
    CONFIG_FILE,
    WARMUP_DIRECTORY,
    WARMUP_MASK,
    classifier_config,
    longest_warmup,
    mismatch,
    names_gpu_file,
    parse_config,
    warmup_mask,
)

# semantic_router looks for withdrawn versions once a second; until it has, it still calls the old one.
SETTLE_SECONDS = 2.0
# Triton starts a Python stub through a shell, with the path unquoted.
_MODEL_NAME = re.compile(r"^[A-Za-z0-9_-]+$")

# Tells Triton to load a classifier's versions again; raises TritonRefused.
# (version directory) makes the copy of its graph that a GPU is served
MakeCopy = Callable[[Path], object]
LoadModel = Callable[[str], None]


class InstalledVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version directory of a classifier; `bundle` is None where bundle.json cannot be read."""

    classifier: str
    version: int
    directory: Path
    withdrawn: bool
    bundle: Bundle | None


def install_bundle(
    source: Path, repository: Path, name: str, load: LoadModel | None = None, *, gpu_copy: MakeCopy | None = None
) -> InstalledVersion:
    """Check the bundle in `source`, copy it in as the next version of classifier `name`, and have Triton load it.

    Where config.pbtxt names a copy of the graph for GPUs, `gpu_copy` makes it first. Raises BundleRejected with nothing
    changed, or TritonRefused with the new version withdrawn again.
    """
    bundle = check_bundle(source)
    classifier = _prepare_classifier(source, repository, name, bundle)
    is_for_gpus = names_gpu_file((classifier / CONFIG_FILE).read_text(encoding="utf-8"))
    version = _copy_version(source, classifier, gpu_copy if is_for_gpus else None)
    if load is not None:
        _load_or_withdraw(classifier, version, load)
    directory = classifier / str(version)
    return InstalledVersion(classifier=name, version=version, directory=directory, withdrawn=False, bundle=bundle)


def rollback(
    repository: Path, name: str, load: LoadModel | None = None, settle_seconds: float = SETTLE_SECONDS
) -> InstalledVersion:
    """Withdraw the newest version of classifier `name` and return the one that serves now."""
    serving = [entry for entry in installed_versions(repository, name) if not entry.withdrawn]
    if len(serving) < 2:  # noqa: PLR2004 - the newest and the one before it
        raise VersionNotFound(name, f"there is no version to go back to in {repository / name}")
    _withdraw(serving[-1].directory)
    if load is not None:
        time.sleep(settle_seconds)
        load(name)
    return serving[-2]


def installed_versions(repository: Path, name: str) -> list[InstalledVersion]:
    """Return the versions of classifier `name`, withdrawn ones included, in the order of their numbers."""
    return [
        _read_version(entry, version, name)
        for version, entry in version_directories(repository / name).items()
        if version.state in {"served", "withdrawn"}
    ]


def classifier_names(repository: Path) -> list[str]:
    """Return the classifiers in `repository`: every model that has a version with a bundle.json."""
    if not repository.is_dir():
        raise VersionNotFound(str(repository), "no such model repository; `semrouter up` makes one")
    return sorted(entry.name for entry in repository.iterdir() if any(entry.glob(f"*/{BUNDLE_FILE}")))


def classifier_for(repository: Path, labels: list[str]) -> str:
    """Return the installed classifier with exactly these labels, in any order; VersionNotFound when there is none."""
    for name in classifier_names(repository):
        bundle = current_bundle(repository, name)
        if bundle is not None and set(bundle.labels) == set(labels):
            return name
    raise VersionNotFound(str(repository), f"no classifier has the labels {labels}; give the new one a --name")


def current_bundle(repository: Path, name: str) -> Bundle | None:
    """Return the bundle of the newest version that is not withdrawn and can be read."""
    bundles = [entry.bundle for entry in installed_versions(repository, name) if not entry.withdrawn and entry.bundle]
    return bundles[-1] if bundles else None


def objection_to_name(repository: Path, name: str, labels: list[str]) -> str | None:
    """Return why a bundle with `labels` cannot be installed as `name`, or None; asked before any slow work."""
    if not repository.is_dir():
        return f"no model repository at {repository}; `semrouter up` makes one"
    if not _MODEL_NAME.match(name):
        return f"--name: expected letters, digits, - and _, got {name!r}"
    installed = current_bundle(repository, name)
    if installed is not None and set(installed.labels) != set(labels):
        return f"expected the labels {installed.labels} that {name} has, got {labels}; install under another --name"
    return None


def _prepare_classifier(source: Path, repository: Path, name: str, bundle: Bundle) -> Path:
    """Return the directory of classifier `name`, made with a config.pbtxt if it is new; refuse what cannot join it."""
    reason = objection_to_name(repository, name, bundle.labels)
    if reason:
        raise BundleRejected(str(source), reason)
    classifier = repository / name
    config = classifier / CONFIG_FILE
    is_new = not config.is_file()
    content = classifier_config(name, bundle) if is_new else config.read_text(encoding="utf-8")
    reason = _misfit(source / MODEL_FILE, content)
    if reason:
        raise BundleRejected(str(source), f"{config} does not fit: {reason}; install it under another --name")
    if is_new:
        (classifier / WARMUP_DIRECTORY).mkdir(parents=True, exist_ok=True)
        _write(classifier / WARMUP_DIRECTORY / WARMUP_MASK, warmup_mask(bundle))
        _write(config, content.encode())
    return classifier


def _misfit(graph: Path, config_content: str) -> str | None:
    config = parse_config(config_content)
    session = open_session(graph)
    if reason := mismatch(config, session):
        return reason
    length = longest_warmup(config)
    try:
        run_logits(session, [[0] * max(length, 1)], max(length, 1))
    except GraphUnusable as exc:
        return f"it warms up at {length} tokens: {exc.reason}"
    return None


def _copy_version(source: Path, classifier: Path, make_copy: MakeCopy | None) -> int:
    """Copy under a name Triton ignores, sync, rename: the version appears whole or not at all."""
    with _locked(classifier):
        version = 1 + max((name.number for name in version_directories(classifier)), default=0)
        unfinished = classifier / str(VersionName(version, "tmp"))
        unfinished.mkdir()
        try:
            for name in (MODEL_FILE, TOKENIZER_FILE, BUNDLE_FILE):
                shutil.copyfile(source / name, unfinished / name)
            if make_copy is not None:
                make_copy(unfinished)
            for file in unfinished.iterdir():
                _sync(file)
            _sync(unfinished)
            unfinished.rename(classifier / str(version))
        except (OSError, ExportError):
            shutil.rmtree(unfinished)
            raise
        _sync(classifier)
    return version


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one installer at a time choose a number in `directory`."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _load_or_withdraw(classifier: Path, version: int, load: LoadModel) -> None:
    """Load; on refusal withdraw the version, so that a restart does not trip over it, and load what was there."""
    try:
        load(classifier.name)
    except TritonRefused:
        _withdraw(classifier / str(version))
        if any(not entry.withdrawn for entry in installed_versions(classifier.parent, classifier.name)):
            load(classifier.name)
        raise


def _withdraw(version: Path) -> None:
    version.rename(version.with_name(str(VersionName(int(version.name), "withdrawn"))))
    _sync(version.parent)


def _read_version(entry: Path, version: VersionName, classifier: str) -> InstalledVersion:
    try:
        bundle = read_bundle(entry)
    except BundleInvalid:
        bundle = None
    return InstalledVersion(
        classifier=classifier,
        version=version.number,
        directory=entry,
        withdrawn=version.state == "withdrawn",
        bundle=bundle,
    )


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    _sync(file)


def _sync(path: Path) -> None:
    """Flush a file or a directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
