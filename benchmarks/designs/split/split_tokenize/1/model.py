"""The first step of the ensemble: text in, token ids out, padded so that requests of one bucket can share a batch."""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "semantic_router" / "1"))

import numpy as np
import triton_python_backend_utils as pb_utils

from routing_policy.clipping import clip_text, pad_length
from routing_policy.policy_file import load_policy
from serving.bundle_versions import BundleVersions


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        name = load_policy(Path(os.environ["SEMROUTER_CONFIG"])).classifier
        self._loaded = BundleVersions(Path(args["model_repository"]).parent / name, 256, lambda _: True).current

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
        rows = [clip_text(self._loaded.tokenizer, text.decode(), self._loaded.max_length).ids for text in texts]
        length = pad_length(max(map(len, rows)), self._loaded.buckets)
        ids = np.zeros((len(rows), length), dtype=np.int64)
        mask = np.zeros((len(rows), length), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        tensors = [pb_utils.Tensor("input_ids", ids), pb_utils.Tensor("attention_mask", mask)]
        return pb_utils.InferenceResponse(output_tensors=tensors)
