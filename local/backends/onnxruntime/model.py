"""Triton's `onnxruntime` backend where the C++ one is missing, as in the PyPI wheel: same config.pbtxt.

A Python-based backend: https://github.com/triton-inference-server/backend/blob/main/docs/python_based_backends.md
"""

import ctypes
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

_CUDA = "CUDAExecutionProvider"  # without it ONNX Runtime falls back to the CPU and only warns
# Triton data type, what ONNX Runtime calls it, NumPy
_TYPES = {
    "TYPE_INT64": "tensor(int64)",
    "TYPE_INT32": "tensor(int32)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_FP16": "tensor(float16)",
}


class TritonPythonModel:
    """One ONNX Runtime session; the requests of a batch are joined, run once and split again."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model; refuse what the C++ backend would refuse: names, types and shapes that differ."""
        config = json.loads(args["model_config"])
        file = Path(args["model_repository"], args["model_version"], _file_name(args, config))
        try:
            self._session = ort.InferenceSession(str(file), _options(config), providers=_providers(args))
        except Exception as exc:
            raise pb_utils.TritonModelException(f"{file}: {exc}") from exc
        if args["model_instance_kind"] == "GPU" and _CUDA not in self._session.get_providers():
            raise pb_utils.TritonModelException(f"{file}: KIND_GPU: expected onnxruntime-gpu and a CUDA it can use")
        _check("input", config["input"], self._session.get_inputs(), config)
        _check("output", config["output"], self._session.get_outputs(), config)
        self._input_names = [tensor["name"] for tensor in config["input"]]
        self._output_names = [tensor["name"] for tensor in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        inputs = [[_input(request, name) for name in self._input_names] for request in requests]
        feed = {name: _join([row[i] for row in inputs]) for i, name in enumerate(self._input_names)}
        try:
            outputs = self._session.run(self._output_names, feed)
        except Exception as exc:  # noqa: BLE001 - ONNX Runtime raises types of its own for each cause
            if len(requests) == 1:
                return [_failure(f"onnx runtime error: {exc}")]
            return [self.execute([request])[0] for request in requests]  # only the culprit shall fail
        borders = np.cumsum([row[0].shape[0] for row in inputs])[:-1]
        parts = [np.split(output, borders) if len(requests) > 1 else [output] for output in outputs]
        return [self._response([part[i] for part in parts]) for i in range(len(requests))]

    def _response(self, outputs: list[Any]) -> Any:
        named = zip(self._output_names, outputs, strict=True)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor(name, value) for name, value in named])


def _file_name(args: dict[str, str], config: dict[str, Any]) -> str:
    """Return what cc_model_filenames names for the GPU of an instance of KIND_GPU, as the C++ backend does."""
    default = str(config["default_model_filename"] or "model.onnx")
    named: dict[str, str] = config.get("cc_model_filenames") or {}
    if args["model_instance_kind"] != "GPU" or not named:
        return default
    return named.get(_compute_capability(int(args["model_instance_device_id"])), default)


def _compute_capability(device: int) -> str:
    """Ask the CUDA driver, as `7.5` (CUDA Driver API, cuDeviceGetAttribute: 75 is major, 76 minor)."""
    driver = ctypes.CDLL("libcuda.so.1")
    handle, value = ctypes.c_int(), ctypes.c_int()
    driver.cuInit(0)
    driver.cuDeviceGet(ctypes.byref(handle), device)
    parts = []
    for attribute in (75, 76):
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle)
        parts.append(str(value.value))
    return ".".join(parts)


def _input(request: Any, name: str) -> Any:
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy()


def _failure(message: str) -> Any:
    """Make an answer with an error of its own: one TritonError in two answers corrupts the stub's shared memory."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INTERNAL))


def _join(tensors: list[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else np.concatenate(tensors)


def _providers(args: dict[str, str]) -> list[Any]:
    """Return CUDA for an instance of KIND_GPU, else the CPU."""
    if args["model_instance_kind"] != "GPU":
        return ["CPUExecutionProvider"]
    ort.preload_dlls()  # those of the nvidia packages
    return [(_CUDA, {"device_id": int(args["model_instance_device_id"])})]


def _options(config: dict[str, Any]) -> ort.SessionOptions:
    """Honour the thread counts of config.pbtxt; no spinning, as a small host has other work for its cores."""
    options = ort.SessionOptions()
    parameters = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", 0))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _check(kind: str, configured: list[dict[str, Any]], actual: list[Any], config: dict[str, Any]) -> None:
    by_name = {tensor.name: tensor for tensor in actual}
    names = {tensor["name"] for tensor in configured}
    missing = set(by_name) - names if kind == "input" else set()
    if not names <= set(by_name) or missing:
        raise pb_utils.TritonModelException(f"{kind}s: config.pbtxt has {sorted(names)}, model.onnx {sorted(by_name)}")
    for tensor in configured:
        _check_tensor(kind, tensor, by_name[tensor["name"]], batched=config["max_batch_size"] > 0)


def _check_tensor(kind: str, configured: dict[str, Any], actual: Any, *, batched: bool) -> None:
    name = configured["name"]
    if _TYPES.get(configured["data_type"]) != actual.type:
        raise pb_utils.TritonModelException(
            f"{kind} {name}: config.pbtxt has {configured['data_type']}, model.onnx {actual.type}"
        )
    expected = [*([-1] if batched else []), *(int(size) for size in configured["dims"])]
    found = [size if isinstance(size, int) else -1 for size in actual.shape]
    if len(expected) != len(found) or any(
        -1 not in pair and pair[0] != pair[1] for pair in zip(expected, found, strict=True)
    ):
        raise pb_utils.TritonModelException(f"{kind} {name}: config.pbtxt has shape {expected}, model.onnx {found}")
