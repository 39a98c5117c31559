"""Every PromQL query of the deployment: dashboards' panels, recording rules and alerts."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from tests.docker.conftest import DOCKER

DASHBOARDS = sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))
_METRIC = re.compile(r"\b(?:nv|semrouter|semantic|triton)(?:_\w+|(?::\w+)+)|\bup\b")


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    dashboard: str
    title: str
    queries: list[str]

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.title}"


def rules() -> list[dict[str, Any]]:
    """Return recording rules and alerts in order."""
    document = yaml.safe_load((DOCKER / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def alert_rules() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def panels() -> Iterator[Panel]:
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            queries = [target["expr"] for target in panel["targets"]]
            yield Panel(dashboard=file.stem, title=panel["title"], queries=queries)


def metric_names(query: str) -> set[str]:
    """Return the names of the metrics in `query`, without what stands in label matchers."""
    return set(_METRIC.findall(re.sub(r"\{[^}]*\}|\b(?:by|on|ignoring) \([^)]*\)", "", query)))
