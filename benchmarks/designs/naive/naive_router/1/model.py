"""The BLS model that a first draft would be: one request at a time, tokenized, classified, decided."""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "semantic_router" / "1"))

import msgspec
import numpy as np
import triton_python_backend_utils as pb_utils

from routing_policy.clipping import clip_text
from routing_policy.decision import decide
from routing_policy.policy_file import load_policy
from routing_policy.scoring import scores_from_logits
from serving.bundle_versions import BundleVersions


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._policy = load_policy(Path(os.environ["SEMROUTER_CONFIG"]))
        self._name = self._policy.classifier
        directory = Path(args["model_repository"]).parent / self._name
        self._loaded = BundleVersions(directory, 256, lambda _: True).current

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        text = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)[0].decode()
        ids = clip_text(self._loaded.tokenizer, text, self._loaded.max_length).ids
        bundle = self._loaded.bundle
        tensors = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), dtype=np.int64)}
        answer = pb_utils.InferenceRequest(
            model_name=self._name,
            inputs=[pb_utils.Tensor(name, tensors[name]) for name in bundle.inputs],
            requested_output_names=[bundle.output],
        ).exec()
        if answer.has_error():
            return pb_utils.InferenceResponse(error=answer.error())
        logits = pb_utils.get_output_tensor_by_name(answer, bundle.output).as_numpy()
        scores = scores_from_logits(logits, bundle.temperature, bundle.problem_type)[0].tolist()
        decision = decide(self._policy, dict(zip(bundle.labels, scores, strict=True)))
        output = np.array([[msgspec.json.encode(decision)]], dtype=object)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("decision", output)])
