"""What a classifier bundle is: a Triton version directory with an ONNX graph, its tokenizer and how to read it."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import msgspec

from .errors import BundleInvalid
from .scoring import ProblemType

BUNDLE_FILE = "bundle.json"
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Label = Annotated[str, msgspec.Meta(min_length=1)]
TokenCount = Annotated[int, msgspec.Meta(ge=2)]


class Canary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text with the scores this bundle must give it, on any machine, within a tolerance."""

    text: str
    scores: dict[str, float]


class Bundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of bundle.json. `labels` are in the order of the output's last axis."""

    revision: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{12}$")]
    labels: Annotated[list[Label], msgspec.Meta(min_length=2)]
    problem_type: ProblemType
    max_length: TokenCount
    buckets: Annotated[list[TokenCount], msgspec.Meta(min_length=1)]
    temperature: Annotated[float, msgspec.Meta(gt=0)]
    inputs: Annotated[list[str], msgspec.Meta(min_length=1)]
    output: str
    files: dict[str, Sha256]
    source: dict[str, Any]
    precision: str
    canaries: list[Canary]
    figures: dict[str, Any]


def read_bundle(directory: Path) -> Bundle:
    """Read and check `directory`/bundle.json; the files it names are checked by `verify_files`."""
    file = directory / BUNDLE_FILE
    try:
        bundle = msgspec.json.decode(file.read_bytes(), type=Bundle)
    except OSError as exc:
        raise BundleInvalid(str(file), exc.strerror or str(exc)) from exc
    except msgspec.DecodeError as exc:
        raise BundleInvalid(str(file), str(exc)) from exc
    _check_consistency(bundle, str(file))
    return bundle


def verify_files(directory: Path, bundle: Bundle) -> None:
    """Raise BundleInvalid unless every file the bundle names is there with the SHA-256 it states."""
    for name, expected in bundle.files.items():
        file = directory / name
        if not file.is_file():
            raise BundleInvalid(str(file), "named in bundle.json but missing")
        actual = file_sha256(file)
        if actual != expected:
            raise BundleInvalid(str(file), f"expected SHA-256 {expected}, got {actual}")


def bundle_revision(files: dict[str, str], labels: list[str], temperature: float) -> str:
    """Return 12 hex digits that change whenever the weights, the tokenizer, the labels or the calibration do."""
    identity = {"files": dict(sorted(files.items())), "labels": labels, "temperature": temperature}
    return hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()[:12]


def file_sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _check_consistency(bundle: Bundle, file: str) -> None:
    if len(set(bundle.labels)) != len(bundle.labels):
        raise BundleInvalid(file, f"$.labels: expected distinct labels, got {bundle.labels}")
    if bundle.buckets != sorted(set(bundle.buckets)):
        raise BundleInvalid(file, f"$.buckets: expected ascending lengths, got {bundle.buckets}")
    if bundle.buckets[-1] != bundle.max_length:
        raise BundleInvalid(
            file, f"$.buckets: expected to end with max_length {bundle.max_length}, got {bundle.buckets}"
        )
    for name in (MODEL_FILE, TOKENIZER_FILE):
        if name not in bundle.files:
            raise BundleInvalid(file, f"$.files: expected to name {name}")
    for name in bundle.files:
        if Path(name).name != name:
            raise BundleInvalid(file, f"$.files: expected plain file names, got {name!r}")
    expected = bundle_revision(bundle.files, bundle.labels, bundle.temperature)
    if bundle.revision != expected:
        raise BundleInvalid(
            file, f"$.revision: expected {expected} for these files, labels and temperature, got {bundle.revision}"
        )
