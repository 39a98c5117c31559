"""Every PromQL example asks for series that exist, and as counters and histograms have to be asked."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from router_proxy.record.metrics import Metrics

from .documents import all_blocks

PROMTOOL = Path(sys.executable).with_name("promtool")  # local/prepare.sh puts it there
QUERIES = [pytest.param(block.text, id=block.place) for block in all_blocks("promql")]
SERIES = re.compile(
    r"(?P<before>[a-z_]*\(?)\b(?P<name>(?:semantic|semrouter)_\w+)(?P<matchers>\{[^}]*\})?(?P<range>\[\w+\])?"
)
LABEL = re.compile(r'(\w+)(?:=~|!~|!=|=)"')
GROUPING = re.compile(r"\b(?:by|without) *\(([^)]*)\)")
QUANTILE = re.compile(r"histogram_quantile\((?P<quantile>[\d.]+), *sum by \((?P<labels>[^)]*)\) \(rate\(\w+_bucket\b")
COUNTERS = ("_total", "_bucket", "_sum", "_count")


def labels_by_series() -> dict[str, set[str]]:
    collectors: dict[Any, list[str]] = dict(Metrics()._registry._collector_to_names)
    return {name: {*collector._labelnames, "le"} for collector, names in collectors.items() for name in names}


def series(query: str) -> list[re.Match[str]]:
    found = list(SERIES.finditer(query))
    assert found, "no series of ours"
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_prometheus_parses_it(query: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"  # JSON is YAML
    rule = {"record": "documented", "expr": query}
    rules.write_text(json.dumps({"groups": [{"name": "documented", "rules": [rule]}]}), encoding="utf-8")

    result = subprocess.run(
        [PROMTOOL, "check", "rules", rules], capture_output=True, text=True, check=False, timeout=60
    )

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("query", QUERIES)
def test_series_and_labels_exist(query: str) -> None:
    known = labels_by_series()

    used = {match["name"]: set(LABEL.findall(match["matchers"] or "")) for match in series(query)}
    grouped = {label.strip() for labels in GROUPING.findall(query) for label in labels.split(",")}

    assert used.keys() <= known.keys()
    assert all(labels <= known[name] for name, labels in used.items())
    assert all(grouped <= known[name] for name in used)


@pytest.mark.parametrize("query", QUERIES)
def test_counters_are_asked_for_their_rate(query: str) -> None:
    counters = [match for match in series(query) if match["name"].endswith(COUNTERS)]

    assert all(match["before"] in {"rate(", "increase("} and match["range"] for match in counters)


@pytest.mark.parametrize("query", QUERIES)
def test_a_quantile_is_taken_over_rates_of_buckets_by_le(query: str) -> None:
    quantiles = list(QUANTILE.finditer(query))

    assert len(quantiles) == query.count("histogram_quantile")
    assert all(0 < float(match["quantile"]) < 1 and "le" in match["labels"] for match in quantiles)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("histogram_quantile(0.95, semantic_classifier_latency_ms)", id="of the histogram's bare name"),
        pytest.param("histogram_quantile(0.95, semantic_classifier_latency_ms_bucket)", id="of bare buckets"),
    ],
)
def test_the_wrong_way_to_ask_for_a_quantile_would_be_found(query: str) -> None:
    assert QUANTILE.search(query) is None
