"""The last step of the ensemble: logits in, decision out."""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "semantic_router" / "1"))

import msgspec
import numpy as np
import triton_python_backend_utils as pb_utils

from routing_policy.decision import decide
from routing_policy.policy_file import load_policy
from routing_policy.scoring import scores_from_logits
from serving.bundle_versions import BundleVersions


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._policy = load_policy(Path(os.environ["SEMROUTER_CONFIG"]))
        directory = Path(args["model_repository"]).parent / self._policy.classifier
        self._bundle = BundleVersions(directory, 256, lambda _: True).current.bundle

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        logits = pb_utils.get_input_tensor_by_name(request, "logits").as_numpy()
        scores = scores_from_logits(logits, self._bundle.temperature, self._bundle.problem_type).tolist()
        decisions = [decide(self._policy, dict(zip(self._bundle.labels, row, strict=True))) for row in scores]
        output = np.array([[msgspec.json.encode(decision)] for decision in decisions], dtype=object)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("decision", output)])
