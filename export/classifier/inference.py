"""Score texts with a graph and its tokenizer in this process, cut and padded as the server cuts and pads them."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from tokenizers import Tokenizer

from export.errors import GraphUnusable, TokenizerUnusable
from routing_policy.bundle import MODEL_FILE, TOKENIZER_FILE, Bundle, read_bundle, verify_files
from routing_policy.clipping import clip_text, pad_length
from routing_policy.scoring import scores_from_logits

Logits = npt.NDArray[np.float32]
PAD_ID = 0  # masked out, so any id inside the embedding table gives the same scores
# ONNX Runtime's own errors share no base class.
_ORT_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class Classifier(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle opened for scoring."""

    bundle: Bundle
    session: Any  # onnxruntime.InferenceSession
    tokenizer: Tokenizer


def open_classifier(directory: Path, threads: int = 0) -> Classifier:
    """Open the bundle in `directory` after checking its hashes; `threads` 0 leaves the number to ONNX Runtime."""
    bundle = read_bundle(directory)
    verify_files(directory, bundle)
    return Classifier(
        bundle=bundle,
        session=open_session(directory / MODEL_FILE, threads),
        tokenizer=read_tokenizer(directory / TOKENIZER_FILE),
    )


def classify(classifier: Classifier, texts: list[str], batch_size: int = 16) -> npt.NDArray[np.float64]:
    """Return calibrated scores [texts, labels], columns in the order of the bundle's labels."""
    bundle = classifier.bundle
    ids = [clip_text(classifier.tokenizer, text, bundle.max_length).ids for text in texts]
    logits = logits_in_buckets(classifier.session, ids, bundle.buckets, batch_size)
    return scores_from_logits(logits, bundle.temperature, bundle.problem_type)


def open_session(graph: Path | bytes, threads: int = 0) -> Any:
    """Open a file, or the bytes of one, on the CPU; raises GraphUnusable when ONNX Runtime cannot serve it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what matters is raised as well, and would otherwise be shown twice
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = graph if isinstance(graph, bytes) else str(graph)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except _ORT_ERRORS as exc:
        raise GraphUnusable("a graph" if isinstance(graph, bytes) else str(graph), _one_line(exc)) from exc


def read_tokenizer(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as exc:
        raise TokenizerUnusable(str(file), _one_line(exc)) from exc


def logits_in_buckets(session: Any, ids: list[list[int]], buckets: list[int], batch_size: int) -> Logits:
    """Run each text padded to its bucket, with others of that bucket; logits come back in the order of `ids`."""
    by_bucket: dict[int, list[int]] = {}
    for index, row in enumerate(ids):
        by_bucket.setdefault(pad_length(len(row), buckets), []).append(index)
    logits = np.zeros((len(ids), session.get_outputs()[0].shape[-1]), dtype=np.float32)
    for bucket, members in by_bucket.items():
        for start in range(0, len(members), batch_size):
            chunk = members[start : start + batch_size]
            logits[chunk] = run_logits(session, [ids[index] for index in chunk], bucket)
    return logits


def run_logits(session: Any, ids: list[list[int]], length: int) -> Logits:
    """Run one batch padded to `length` and return its logits [batch, labels]."""
    tensors = pad_batch(ids, length, [graph_input.name for graph_input in session.get_inputs()])
    output = session.get_outputs()[0].name
    try:
        return np.asarray(session.run([output], tensors)[0], dtype=np.float32)
    except _ORT_ERRORS as exc:
        raise GraphUnusable(output, _one_line(exc)) from exc


def pad_batch(ids: list[list[int]], length: int, inputs: list[str]) -> dict[str, npt.NDArray[np.int64]]:
    """Lay `ids` out as int64 [batch, length] tensors: ids, a mask of ones over them, token types all zero."""
    shape = (len(ids), length)
    tensors = {name: np.zeros(shape, dtype=np.int64) for name in inputs}
    tensors["input_ids"].fill(PAD_ID)
    for row, values in enumerate(ids):
        tensors["input_ids"][row, : len(values)] = values
        tensors["attention_mask"][row, : len(values)] = 1
    return tensors


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())
