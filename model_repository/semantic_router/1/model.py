"""semantic_router: text in, routing decision out. A shell that turns tensors into values and makes the BLS calls."""

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # before any installed package of the same name

import msgspec
import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from routing_policy.decision import DecisionDocument
from routing_policy.errors import RoutingPolicyError
from serving.bundle_versions import LoadedBundle, NoReadyVersionError
from serving.environment import read_environment
from serving.reading import ClassifierCallFailed
from serving.router import Router

REFRESH_SECONDS = 1.0
Outcome = DecisionDocument | ClassifierCallFailed


class TextInvalid(Exception):
    """A row that cannot be judged: what was expected and what came."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of one request; none of them, and the reason, when one cannot be judged."""

    texts: list[str]
    problem: str | None = None


class TritonPythonModel:
    """One instance: the router, and the time at which it looks at its files again."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load policy and classifier; a problem with either fails the load with its message."""
        repository = Path(args["model_repository"]).parent
        try:
            environment = read_environment(os.environ)
            self._router = Router(environment, repository, call_classifier, is_version_ready)
        except (RoutingPolicyError, NoReadyVersionError, ValueError) as exc:
            raise pb_utils.TritonModelException(str(exc)) from exc
        self._next_refresh = 0.0
        self._logged: dict[str, str] = {}
        for line in self._router.classifier.start_log:
            pb_utils.Logger.log_info(line)
        self._log_changes()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Read the texts of all requests, decide on them together, and answer each request with its own decisions."""
        self._refresh_when_due()
        batches = [read_texts(request) for request in requests]
        all_texts: list[str] = []
        for batch in batches:
            all_texts.extend(batch.texts)
        outcomes = self._router.route(all_texts)
        responses = []
        start = 0
        for batch in batches:
            end = start + len(batch.texts)
            responses.append(respond(batch, outcomes[start:end]))
            start = end
        return responses

    def _refresh_when_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_refresh:
            self._next_refresh = now + REFRESH_SECONDS
            try:
                self._router.refresh()
            except Exception as exc:  # noqa: BLE001 - this batch is to be decided by what is in force
                pb_utils.Logger.log_error(f"looking at the files again failed and goes on: {exc!r}")
            self._log_changes()

    def _log_changes(self) -> None:
        state = self._router.state
        for topic, text in state.items():
            if self._logged.get(topic) != text:
                log = pb_utils.Logger.log_info if topic in {"policy", "classifier"} else pb_utils.Logger.log_warn
                log(f"{topic}: {text}")
        self._logged = state


def call_classifier(
    loaded: LoadedBundle, name: str, tensors: dict[str, npt.NDArray[np.int64]]
) -> npt.NDArray[np.float32]:
    """Run one batch on the pinned version of the classifier; ClassifierCallFailed carries Triton's message."""
    request = pb_utils.InferenceRequest(
        model_name=name,
        model_version=loaded.version,
        inputs=[pb_utils.Tensor(tensor_name, tensor) for tensor_name, tensor in tensors.items()],
        requested_output_names=[loaded.bundle.output],
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    )
    try:
        response = request.exec()
    except pb_utils.TritonModelException as exc:
        raise ClassifierCallFailed(str(exc)) from exc
    if response.has_error():
        raise ClassifierCallFailed(response.error().message())
    logits: npt.NDArray[np.float32] = pb_utils.get_output_tensor_by_name(response, loaded.bundle.output).as_numpy()
    return logits


def is_version_ready(name: str, version: int) -> bool:
    """Ask Triton; only `execute` may: in `initialize` the question ends tritonserver 2.51."""
    return bool(pb_utils.is_model_ready(model_name=name, model_version=str(version)))


def read_texts(request: Any) -> Batch:
    """Return the rows of the input `text`, BYTES [batch, 1]."""
    rows = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
    try:
        return Batch(texts=[_decode(row) for row in rows])
    except TextInvalid as exc:
        return Batch(texts=[], problem=str(exc))


def _decode(row: bytes) -> str:
    try:
        text = row.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise TextInvalid(f"text: expected UTF-8, got byte {row[exc.start]:#04x} at position {exc.start}") from exc
    if not text.strip():
        raise TextInvalid("text: expected something to judge, got an empty text")
    return text


def respond(batch: Batch, outcomes: list[Outcome]) -> Any:
    """Return the response to one request: a decision for each row, or the first error of any row."""
    if batch.problem is not None:
        return _error(batch.problem, pb_utils.TritonError.INVALID_ARG)
    documents: list[DecisionDocument] = []
    for outcome in outcomes:
        if isinstance(outcome, ClassifierCallFailed):
            codes = pb_utils.TritonError
            return _error(str(outcome), codes.UNAVAILABLE if outcome.is_unavailable else codes.INTERNAL)
        documents.append(outcome)
    return pb_utils.InferenceResponse(
        output_tensors=[
            _strings("target", [document.target.encode() for document in documents]),
            _strings("decision", [msgspec.json.encode(document) for document in documents]),
        ]
    )


def _strings(name: str, values: list[bytes]) -> Any:
    return pb_utils.Tensor(name, np.array(values, dtype=object).reshape(-1, 1))


def _error(message: str, code: int) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
