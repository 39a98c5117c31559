"""The catalogue of metrics: the guide's two exactly, and a table that misses none."""

import re
from pathlib import Path

from router_proxy.record.metric_catalogue import metrics_table
from router_proxy.record.metrics import Metrics


def exposed() -> dict[str, str]:
    """Return the kind of each metric that a new registry exposes, by name."""
    return dict(re.findall(r"# TYPE (\S+) (\S+)", Metrics().render().decode()))


def test_the_guides_metrics_are_there_from_the_start() -> None:
    text = Metrics().render().decode()

    assert exposed()["semantic_route_decisions_total"] == "counter"
    bounds = re.findall(r'semantic_classifier_latency_ms_bucket\{le="([^"]+)",transport="http"\} 0\.0', text)
    assert [float(bound) for bound in bounds] == [0.5, 1, 2.5, 5, 10, 20, 50, 100, 250, 500, 1000, 2500, float("inf")]


def test_the_table_lists_every_metric_with_its_kind() -> None:
    rows = [row.split(" | ")[:2] for row in metrics_table().splitlines()[2:]]

    assert {name.strip("| `"): kind for name, kind in rows} == exposed()


def test_ours_carry_our_name() -> None:
    assert all(name.startswith(("semrouter_", "semantic_")) for name in exposed())


def test_the_file_that_another_worker_is_just_making_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "counter_4711.db").touch()

    assert Metrics(str(tmp_path)).render() == b""
