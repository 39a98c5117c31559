"""A Triton with the tiny classifier, whose decisions can be predicted by hand."""

import contextlib
import json
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import msgspec
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from export.repository.serving_copy import refresh_serving_copy
from export.repository.triton_flags import ADMIN_HEADER
from local.stack.triton_server import TritonServer
from routing_policy.decision import DecisionDocument
from tests.conftest import CHECKOUT, StartTriton
from tests.stand_ins.tiny_classifier import write_tiny_bundle

LABELS = ("non-reasoning", "reasoning")
POLICY = "{reasoning_model: big, general_model: small, abstain_onprem_model: mid, threshold_min_conf: 0.6}"


class RouterModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model `semantic_router` on a running server, with the files it watches."""

    server: TritonServer
    repository: Path
    policy: Path

    def decide(self, *texts: str | bytes) -> list[DecisionDocument]:
        """Ask over gRPC with one request that holds every text; tritonclient's InferenceServerException on error."""
        rows = [text.encode() if isinstance(text, str) else text for text in texts]
        tensor = triton_grpc.InferInput("text", [len(rows), 1], "BYTES")
        tensor.set_data_from_numpy(np.array(rows, dtype=object).reshape(-1, 1))
        with triton_grpc.InferenceServerClient(f"127.0.0.1:{self.server.ports.grpc}") as client:
            answer = client.infer("semantic_router", [tensor]).as_numpy("decision")
        return [msgspec.json.decode(document, type=DecisionDocument) for document in answer[:, 0]]

    def decide_one(self, text: str | bytes) -> DecisionDocument:
        return self.decide(text)[0]

    def try_to_decide(self, text: str) -> None:
        """Ask, and take whatever comes."""
        with contextlib.suppress(InferenceServerException):
            self.decide(text)

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, str]:
        """Send JSON to Triton's HTTP port and return status and text."""
        url = f"http://127.0.0.1:{self.server.ports.http}/v2/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {ADMIN_HEADER: self.server.admin_token})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def load(self, model: str) -> None:
        status, text = self.post(f"repository/models/{model}/load", {})
        assert status == 200, text


MakeRouter = Callable[..., RouterModel]


def make_repository(directory: Path) -> Path:
    """Make a repository with the shipped code and configuration, and the tiny classifier as version 1."""
    repository = directory / "model_repository"
    refresh_serving_copy(CHECKOUT / "model_repository", repository)
    for version in (repository / "reasoning_classifier").glob("[0-9]*"):
        shutil.rmtree(version)
    write_tiny_bundle(repository / "reasoning_classifier" / "1", labels=LABELS)
    return repository


@pytest.fixture(scope="session")
def make_router(tmp_path_factory: pytest.TempPathFactory, start_triton: StartTriton) -> MakeRouter:
    """Start a server of its own for a test that changes files or breaks things."""

    def make(policy: str = POLICY, **variables: str) -> RouterModel:
        directory = tmp_path_factory.mktemp("router")
        repository = make_repository(directory)
        policy_file = directory / "policy.yaml"
        policy_file.write_text(policy, encoding="utf-8")
        return RouterModel(
            server=start_triton(repository, policy_file, **variables), repository=repository, policy=policy_file
        )

    return make


@pytest.fixture(scope="session")
def router(make_router: MakeRouter) -> RouterModel:
    """Share one server among tests that only ask."""
    return make_router()
