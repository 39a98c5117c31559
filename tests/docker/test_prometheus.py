"""Prometheus's own judgement of its files, and each alert firing on its cause (alerts.yaml beside this file)."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CHECKOUT
from tests.docker.conftest import DOCKER, RunTool
from tests.docker.queries import alert_rules, panels

RUNBOOK = CHECKOUT / "docs" / "runbook.md"
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
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}


def test_the_runbook_has_an_entry_for_every_alert_and_no_other() -> None:
    entries = re.findall(r"^### (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)

    assert entries == [rule["alert"] for rule in alert_rules()]


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_its_entry_which_says_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    entry = RUNBOOK.read_text(encoding="utf-8").partition(f"### {rule['alert']}\n")[2].partition("\n### ")[0]

    assert (CHECKOUT / file, anchor) == (RUNBOOK, rule["alert"].lower())
    assert entry.strip().startswith(f"*{rule['labels']['severity'].capitalize()}.*")
    assert all(part in entry for part in ("**Means.**", "**Look at.**", "**Do.**"))


def test_the_panels_that_the_runbook_names_exist() -> None:
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*.]+)\*(?!\*)", RUNBOOK.read_text(encoding="utf-8"))) - {"Page"}

    assert "Outcomes" in named
    assert named <= {panel.title for panel in panels()}
