"""The limit to measure against: the bundled tokenizer and ONNX session called directly, with nothing around them."""

import re
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks.table.rounds import summary
from export.bundle.checkpoints import load_tokenizer
from export.classifier.inference import pad_batch
from routing_policy.bundle import MODEL_FILE, read_bundle
from routing_policy.clipping import clip_text, pad_length
from routing_policy.versions import served_versions

_WARM_CALLS = 20


class InProcess:
    """One session on the newest version of a classifier, with `threads` (0: all cores)."""

    def __init__(self, classifier: Path, threads: int) -> None:
        directory = newest_version(classifier)
        self._bundle = read_bundle(directory)
        self.tokenizer = load_tokenizer(directory)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = ort.InferenceSession(
            str(directory / MODEL_FILE), options, providers=["CPUExecutionProvider"]
        )

    def median_us(self, prompts: list[str], count: int) -> float:
        """Return the median time of one prompt at a time, tokenized and run without any padding."""
        took = []
        for index in range(_WARM_CALLS + count):
            started = time.perf_counter()
            ids = self._ids(prompts[index % len(prompts)])
            self._run([ids], len(ids))
            took.append((time.perf_counter() - started) * 1e6)
        return summary(took[_WARM_CALLS:]).value

    def rate(self, prompts: list[str], batch: int, seconds: float, callers: int = 1) -> float:
        """Return prompts per second when there is always a full batch of one bucket for each of `callers` threads."""
        started = time.perf_counter()
        done = 0
        with ThreadPoolExecutor(callers) as pool:
            while time.perf_counter() < started + seconds:
                batches = self._batches(prompts, batch)
                list(pool.map(lambda rows: self._run(rows, len(rows[-1])), batches))
                done += len(prompts)
        return done / (time.perf_counter() - started)

    def _batches(self, prompts: list[str], batch: int) -> list[list[list[int]]]:
        """Return rows of like length together, each batch sorted by length, the longest batches first."""
        by_length: dict[int, list[list[int]]] = defaultdict(list)
        for ids in map(self._ids, prompts):
            by_length[pad_length(len(ids), self._bundle.buckets)].append(ids)
        sorted_rows = [sorted(by_length[length], key=len) for length in sorted(by_length, reverse=True)]
        return [rows[start : start + batch] for rows in sorted_rows for start in range(0, len(rows), batch)]

    def _ids(self, prompt: str) -> list[int]:
        return clip_text(self.tokenizer, prompt, self._bundle.max_length).ids

    def _run(self, rows: list[list[int]], length: int) -> np.ndarray[Any, Any]:
        tensors = pad_batch(rows, length, self._bundle.inputs)
        logits: np.ndarray[Any, Any] = self._session.run([self._bundle.output], tensors)[0]
        return logits


def newest_version(classifier: Path) -> Path:
    """Return the directory of the newest version that Triton serves."""
    versions = served_versions(classifier)
    return versions[max(versions)]


def served_threads(classifier: Path) -> int:
    """Return the thread count that config.pbtxt gives a classifier's session."""
    config = (classifier / "config.pbtxt").read_text(encoding="utf-8")
    found = re.search(r'"intra_op_thread_count" value { string_value: "(\d+)"', config)
    return int(found.group(1)) if found else 0
