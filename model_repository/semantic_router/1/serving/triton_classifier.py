"""A classifier that Triton serves: texts become batches, batches calls, and logits scores."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from routing_policy.clipping import ClippedText, clip_text, pad_length
from routing_policy.decision import ClassifierRef
from routing_policy.scoring import scores_from_logits

from .bundle_versions import BundleVersions, LoadedBundle, NoReadyVersionError
from .reading import ClassifierCallFailed, Reading, microseconds_since

# A chunk is padded to its longest row, rounded up to what matrix units like and what keeps the shapes few.
_LENGTH_STEP = 8

# (version, classifier name, input name -> int64 [batch, length]) -> logits float32 [batch, labels];
# raises ClassifierCallFailed
CallModel = Callable[[LoadedBundle, str, dict[str, npt.NDArray[np.int64]]], npt.NDArray[np.float32]]


class TritonClassifier:
    """A bundle served by Triton: at most one call per pad bucket and batch, chunked by the model's largest batch."""

    def __init__(self, name: str, versions: BundleVersions, call: CallModel, max_batch: int) -> None:
        self._name = name
        self._versions = versions
        self._call = call
        self._max_batch = max_batch

    @property
    def labels(self) -> list[str]:
        return self._versions.current.bundle.labels

    @property
    def start_log(self) -> list[str]:
        current = self._versions.current
        labels, max_length = len(current.bundle.labels), current.max_length
        return [
            f"Initialized ONNX classifier with {labels} labels, max_len={max_length}",
            "Semantic router initialized",
        ]

    @property
    def state(self) -> dict[str, str]:
        """Say which version is in use and which ones were refused."""
        current = self._versions.current
        refused = {f"refused {self._name} version {n}": reason for n, reason in self._versions.refused.items()}
        in_use = f"{self._name} version {current.version}, revision {current.bundle.revision}"
        return {"classifier": in_use, **refused}

    def refresh(self) -> None:
        """Move to the highest ready version; the one in use stays when none is."""
        try:
            self._versions.refresh()
        except NoReadyVersionError:
            return

    def classify(self, texts: list[str]) -> list[Reading | ClassifierCallFailed]:
        """Classify `texts`; after a version swap between two refreshes, resolve the version again and retry once."""
        readings = self._classify_once(texts)
        failed = [(i, reading) for i, reading in enumerate(readings) if isinstance(reading, ClassifierCallFailed)]
        stale = [index for index, failure in failed if failure.is_not_ready]
        if stale:
            self.refresh()
            for index, reading in zip(stale, self._classify_once([texts[i] for i in stale]), strict=True):
                readings[index] = reading
        return readings

    def _classify_once(self, texts: list[str]) -> list[Reading | ClassifierCallFailed]:
        loaded = self._versions.current
        clipped = [_timed_clip(loaded, text) for text in texts]
        readings: dict[int, Reading | ClassifierCallFailed] = {}
        for length, indices in self._calls(loaded, [clip for clip, _ in clipped]):
            chunk = [clipped[index] for index in indices]
            readings.update(zip(indices, self._classify_chunk(loaded, length, chunk), strict=True))
        return [readings[index] for index in range(len(texts))]

    def _calls(self, loaded: LoadedBundle, clipped: list[ClippedText]) -> Iterator[tuple[int, list[int]]]:
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, clip in enumerate(clipped):
            by_length[pad_length(len(clip.ids), loaded.buckets)].append(index)
        for length, indices in by_length.items():
            for start in range(0, len(indices), self._max_batch):
                chunk = indices[start : start + self._max_batch]
                longest = max(len(clipped[index].ids) for index in chunk)
                yield min(length, -(-longest // _LENGTH_STEP) * _LENGTH_STEP), chunk

    def _classify_chunk(
        self, loaded: LoadedBundle, length: int, chunk: list[tuple[ClippedText, int]]
    ) -> list[Reading | ClassifierCallFailed]:
        started = time.perf_counter_ns()
        try:
            logits = self._call(loaded, self._name, _pad(loaded, [clip.ids for clip, _ in chunk], length))
        except ClassifierCallFailed as exc:
            if exc.is_unavailable or len(chunk) == 1:
                return [exc] * len(chunk)
            # One row may have failed the whole batch: alone, each fails only for itself.
            return [self._classify_chunk(loaded, length, [row])[0] for row in chunk]
        classify_us = microseconds_since(started)
        scores = scores_from_logits(logits, loaded.bundle.temperature, loaded.bundle.problem_type)
        return [
            self._reading(loaded, clip, row.tolist(), (tokenize_us, classify_us))
            for (clip, tokenize_us), row in zip(chunk, scores, strict=True)
        ]

    def _reading(
        self, loaded: LoadedBundle, clip: ClippedText, scores: list[float], times_us: tuple[int, int]
    ) -> Reading | ClassifierCallFailed:
        if not np.isfinite(scores).all():
            return ClassifierCallFailed(f"{self._name} version {loaded.version}: expected finite logits, got {scores}")
        return Reading(
            scores=dict(zip(loaded.bundle.labels, scores, strict=True)),
            classifier=ClassifierRef(name=self._name, version=loaded.version, revision=loaded.bundle.revision),
            tokens_seen=len(clip.ids),
            tokens_total=clip.tokens_total,
            truncated=clip.truncated,
            tokenize_us=times_us[0],
            classify_us=times_us[1],
        )


def _timed_clip(loaded: LoadedBundle, text: str) -> tuple[ClippedText, int]:
    started = time.perf_counter_ns()
    clip = clip_text(loaded.tokenizer, text, loaded.max_length)
    return clip, microseconds_since(started)


def _pad(loaded: LoadedBundle, rows: list[list[int]], length: int) -> dict[str, npt.NDArray[np.int64]]:
    """Lay out token ids [batch, length]; where the mask is 0 the id does not matter. Segment ids are all 0."""
    shape = (len(rows), length)
    tensors = {name: np.zeros(shape, dtype=np.int64) for name in loaded.bundle.inputs}
    for index, ids in enumerate(rows):
        tensors["input_ids"][index, : len(ids)] = ids
        tensors["attention_mask"][index, : len(ids)] = 1
    return tensors
