"""Which version of a classifier to call: the highest one that Triton serves and whose files match their hashes."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from routing_policy.bundle import TOKENIZER_FILE, Bundle, read_bundle, verify_files
from routing_policy.errors import BundleInvalid
from routing_policy.versions import served_versions


class LoadedBundle(msgspec.Struct, frozen=True, kw_only=True):
    """One version's tokenizer and reading instructions, pinned together so that no other version's weights are used."""

    version: int
    bundle: Bundle
    tokenizer: Tokenizer
    max_length: int
    buckets: list[int]


class NoReadyVersionError(Exception):
    """No version of the classifier can be called now."""


class BundleVersions:
    """The versions of one classifier in the repository, and the one in use."""

    def __init__(self, directory: Path, max_length: int, is_ready: Callable[[int], bool]) -> None:
        """Load the highest valid version in `directory`; Triton may not serve it yet."""
        self._directory = directory
        self._max_length = max_length
        self._is_ready = is_ready
        self.refused: dict[int, str] = {}  # versions never to be used, with the reason
        self.current = self._highest(None, lambda _: True)

    def refresh(self) -> None:
        """Move to the highest version that is ready; NoReadyVersionError when there is none."""
        self.current = self._highest(self.current, self._is_ready)

    def _highest(self, current: LoadedBundle | None, usable: Callable[[int], bool]) -> LoadedBundle:
        for version, directory in sorted(served_versions(self._directory).items(), reverse=True):
            if version in self.refused or not usable(version):
                continue
            if current is not None and current.version == version:
                return current
            try:
                return load_bundle(directory, version, self._max_length)
            except BundleInvalid as exc:
                self.refused[version] = str(exc)
        reasons = "; ".join(self.refused.values()) or f"no ready version in {self._directory}"
        raise NoReadyVersionError(f"{self._directory.name} is not ready: {reasons}")


def load_bundle(directory: Path, version: int, max_length: int) -> LoadedBundle:
    """Check the files in `directory` against their hashes and load the tokenizer; BundleInvalid otherwise."""
    bundle = read_bundle(directory)
    verify_files(directory, bundle)
    limit = min(max_length, bundle.max_length)
    return LoadedBundle(
        version=version,
        bundle=bundle,
        tokenizer=_load_tokenizer(directory / TOKENIZER_FILE),
        max_length=limit,
        buckets=[*(bucket for bucket in bundle.buckets if bucket < limit), limit],
    )


def _load_tokenizer(file: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as exc:
        raise BundleInvalid(str(file), f"is not a tokenizer: {exc}") from exc
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
