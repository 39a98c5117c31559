"""Prometheus's own judgement of its files, and each alert firing on its cause (alerts.yaml beside this file)."""

from pathlib import Path

import pytest

from tests.docker.conftest import DOCKER, RunTool
from tests.docker.queries import alert_rules

STAGED = Path(__file__).with_name("alerts.yaml")


def test_promtool_accepts_the_configuration_and_its_rules(run_tool: RunTool) -> None:
    run_tool("promtool", "check", "config", DOCKER / "prometheus" / "prometheus.yaml")


def test_each_alert_fires_on_its_cause_and_not_on_a_healthy_stack(run_tool: RunTool) -> None:
    run_tool("promtool", "test", "rules", STAGED)


@pytest.mark.parametrize("alert", [rule["alert"] for rule in alert_rules()])
def test_every_alert_is_staged_and_tells_what_to_do(alert: str) -> None:
    [rule] = [rule for rule in alert_rules() if rule["alert"] == alert]

    assert alert in STAGED.read_text(encoding="utf-8")
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description"}
