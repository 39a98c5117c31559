"""The dashboards' form; that their queries return data is test_live_metrics.py."""

import json
from pathlib import Path

import pytest
import yaml

from tests.docker.conftest import DOCKER
from tests.docker.queries import DASHBOARDS, alert_rules, panels, rules

PROVISIONING = DOCKER / "grafana" / "provisioning"


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_uses_the_provisioned_datasource_and_cannot_be_edited_in_place(file: Path) -> None:
    dashboard = json.loads(file.read_text(encoding="utf-8"))
    [datasource] = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())["datasources"]

    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    used = {each["datasource"]["uid"] for each in [*dashboard["panels"], *targets]}

    assert used == {datasource["uid"]}
    assert dashboard["editable"] is False


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_panels_have_their_own_id_and_do_not_overlap(file: Path) -> None:
    dashboard = json.loads(file.read_text(encoding="utf-8"))
    boxes = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for box in boxes
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(boxes)


def test_dashboards_have_different_uids_and_the_first_is_the_home_page() -> None:
    uids = [json.loads(file.read_text(encoding="utf-8"))["uid"] for file in DASHBOARDS]

    assert uids == ["semrouter-proxy", "semrouter-routing", "semrouter-triton"]
    assert "/etc/grafana/dashboards/routing.json" in (DOCKER / "compose.yaml").read_text(encoding="utf-8")


def test_every_recorded_series_is_used() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    text = " ".join([query for panel in panels() for query in panel.queries] + [rule["expr"] for rule in alert_rules()])

    assert [name for name in recorded if name not in text] == []
