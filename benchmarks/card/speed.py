"""Sequences per second of a classifier on a card or a processor, beside the rate at which it multiplies matrices."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
import torch

from benchmarks.errors import MeasurementFailed
from export.classifier.inference import pad_batch
from export.classifier.third_party import quiet_libraries

Run = Callable[[], Any]
RunOf = Callable[[int, int], Run]  # of a batch and its tokens


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """Where to compute, in torch's words and in ONNX Runtime's."""

    torch: str
    provider: str
    half: bool
    matrix: int  # the side of the matrices to multiply: as large as it takes for the best rate


CPU = Device(torch="cpu", provider="CPUExecutionProvider", half=False, matrix=512)
CARD = Device(torch="cuda", provider="CUDAExecutionProvider", half=True, matrix=8192)


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Sequences per second of one batch and length."""

    batch: int
    tokens: int
    onnxruntime: float
    torch: float


def median_seconds(run: Run, seconds: float) -> float:
    """Run it once to warm, then for `seconds`, and return the median time."""
    run()
    took: list[float] = []
    end = time.perf_counter() + seconds
    while not took or time.perf_counter() < end:
        started = time.perf_counter()
        run()
        took.append(time.perf_counter() - started)
    return float(np.median(took))


def matrix_flops(device: Device, seconds: float) -> float:
    """Return the operations per second of one large matrix product."""
    kind = torch.float16 if device.half else torch.float32
    one = torch.randn(device.matrix, device.matrix, device=device.torch, dtype=kind)

    def multiply() -> None:
        torch.matmul(one, one)
        if device.torch == "cuda":
            torch.cuda.synchronize()

    return 2 * device.matrix**3 / median_seconds(multiply, seconds)


def speeds(onnx_run: RunOf, torch_run: RunOf, grid: list[tuple[int, int]], seconds: float) -> list[Speed]:
    """Time every batch and length of `grid` in ONNX Runtime and in PyTorch, one after the other."""
    found = []
    for batch, tokens in grid:
        took = [median_seconds(run_of(batch, tokens), seconds) for run_of in (onnx_run, torch_run)]
        found.append(Speed(batch=batch, tokens=tokens, onnxruntime=batch / took[0], torch=batch / took[1]))
    return found


def onnx_runs(graph: Path, device: Device, threads: int = 0) -> RunOf:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(str(graph), options, providers=[device.provider])
    if device.provider not in session.get_providers():
        raise MeasurementFailed(f"ONNX Runtime: {device.provider} could not be used")
    inputs = [each.name for each in session.get_inputs()]

    def run_of(batch: int, tokens: int) -> Run:
        tensors = pad_batch([[1] * tokens] * batch, tokens, inputs)
        return lambda: session.run(None, tensors)

    return run_of


def torch_runs(checkpoint: Path, device: Device) -> RunOf:
    with quiet_libraries():
        from transformers import AutoModelForSequenceClassification

        model = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval().to(device.torch)
    model = model.half() if device.half else model

    def run_of(batch: int, tokens: int) -> Run:
        ids = torch.ones(batch, tokens, dtype=torch.int64, device=device.torch)

        @torch.inference_mode()
        def run() -> Any:
            return model(input_ids=ids, attention_mask=ids).logits.cpu()

        return run

    return run_of
