"""Triton's own account of where a request's time went, model by model."""

import json
import urllib.request
from typing import Any

import msgspec

_PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of one model since it was loaded; times are sums over requests."""

    requests: int
    executions: int
    nanoseconds: dict[str, int]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Means between two readings."""

    requests: int
    batch: float
    microseconds: dict[str, float]


def read_totals(http_port: int, model: str) -> Totals:
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/v2/models/{model}/stats") as answer:
        return totals(json.load(answer))


def totals(document: dict[str, Any]) -> Totals:
    """Add up every version of the model that `document`, Triton's answer, is about."""
    versions = document["model_stats"]
    return Totals(
        requests=sum(version["inference_count"] for version in versions),
        executions=sum(version["execution_count"] for version in versions),
        nanoseconds={part: sum(version["inference_stats"][part]["ns"] for version in versions) for part in _PARTS},
    )


def stage(before: Totals, after: Totals) -> Stage:
    requests = after.requests - before.requests
    executions = after.executions - before.executions
    return Stage(
        requests=requests,
        batch=requests / max(executions, 1),
        microseconds={
            part: (after.nanoseconds[part] - before.nanoseconds[part]) / max(requests, 1) / 1000 for part in _PARTS
        },
    )


def cells(before: Totals, after: Totals) -> list[str]:
    """Return a row of a table: the mean batch, and the mean of each part in microseconds."""
    found = stage(before, after)
    return [f"{found.batch:.1f}", *(f"{value:.0f}" for value in found.microseconds.values())]
