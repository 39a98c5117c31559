"""A bundle is served only when bundle.json is well-formed and every file has the SHA-256 it states."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from routing_policy.bundle import bundle_revision, file_sha256, read_bundle, verify_files
from routing_policy.errors import BundleInvalid


def write_bundle(directory: Path, **changes: Any) -> Path:
    """Write files with any content and a bundle.json that fits them, apart from `changes`."""
    (directory / "model.onnx").write_bytes(b"weights")
    (directory / "tokenizer.json").write_bytes(b"{}")
    files = {name: file_sha256(directory / name) for name in ("model.onnx", "tokenizer.json")}
    labels = ["non-reasoning", "reasoning"]
    document = {
        "revision": bundle_revision(files, labels, 1.5),
        "labels": labels,
        "problem_type": "single_label_classification",
        "max_length": 64,
        "buckets": [16, 64],
        "temperature": 1.5,
        "inputs": ["input_ids", "attention_mask"],
        "output": "logits",
        "files": files,
        "source": {},
        "precision": "fp32",
        "canaries": [{"text": "What is 2+2?", "scores": {"non-reasoning": 0.9, "reasoning": 0.1}}],
        "figures": {},
        **changes,
    }
    (directory / "bundle.json").write_bytes(msgspec.json.encode(document))
    return directory


def test_a_whole_bundle_is_read(tmp_path: Path) -> None:
    bundle = read_bundle(write_bundle(tmp_path))

    verify_files(tmp_path, bundle)
    assert bundle.labels == ["non-reasoning", "reasoning"]
    assert bundle.canaries[0].scores == {"non-reasoning": 0.9, "reasoning": 0.1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"revision": "0" * 12}, "$.revision: expected", id="revision of other content"),
        pytest.param({"labels": ["a", "a"]}, "$.labels: expected distinct labels", id="a label twice"),
        pytest.param({"labels": ["a"]}, "$.labels", id="one label"),
        pytest.param({"buckets": [64, 16]}, "$.buckets: expected ascending lengths", id="buckets out of order"),
        pytest.param(
            {"buckets": [16]}, "$.buckets: expected to end with max_length 64", id="no bucket for the longest text"
        ),
        pytest.param({"temperature": 0}, "$.temperature", id="temperature of 0"),
        pytest.param({"problem_type": "regression"}, "$.problem_type", id="not a classifier"),
        pytest.param({"files": {}}, "$.files: expected to name model.onnx", id="no files"),
        pytest.param({"surprise": 1}, "surprise", id="unknown key"),
    ],
)
def test_a_wrong_bundle_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BundleInvalid) as refused:
        read_bundle(write_bundle(tmp_path, **change))

    assert refused.value.file.endswith("bundle.json")
    assert reason in refused.value.reason


def test_a_path_outside_the_bundle_is_refused(tmp_path: Path) -> None:
    files = dict.fromkeys(("model.onnx", "tokenizer.json", "../../etc/passwd"), "0" * 64)

    with pytest.raises(BundleInvalid, match="expected plain file names"):
        read_bundle(write_bundle(tmp_path, files=files))


def test_a_missing_bundle_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match=r"bundle\.json: No such file"):
        read_bundle(tmp_path)


def test_truncated_weights_are_refused_by_their_hash(tmp_path: Path) -> None:
    bundle = read_bundle(write_bundle(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"weig")

    with pytest.raises(BundleInvalid, match=r"model\.onnx: expected SHA-256 [0-9a-f]{64}, got"):
        verify_files(tmp_path, bundle)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    bundle = read_bundle(write_bundle(tmp_path))
    (tmp_path / "tokenizer.json").unlink()

    with pytest.raises(BundleInvalid, match=r"tokenizer\.json: named in bundle\.json but missing"):
        verify_files(tmp_path, bundle)
