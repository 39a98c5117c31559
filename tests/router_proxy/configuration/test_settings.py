"""The environment: read once, refused with the variable, the expectation and the value."""

from pathlib import Path

import pytest

from router_proxy.configuration.settings import read_secret, read_settings, settings_table
from router_proxy.errors import ConfigurationInvalid
from router_proxy.request.modes import Mode


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings({})

    assert (settings.enabled, settings.default_mode, settings.port) == (False, Mode.OFF, 8999)
    assert (settings.triton_url, settings.routing_budget_ms) == ("localhost:8001", 250)


def test_variables_override_and_foreign_ones_are_ignored() -> None:
    environ = {"SEMROUTER_ENABLED": "TRUE", "SEMROUTER_ALLOWED_MODES": "off, auto", "SEMROUTER_MAX_LENGTH": "256"}

    settings = read_settings(environ | {"SEMROUTER_PORT": ""})

    assert settings.enabled
    assert settings.allowed_modes == (Mode.OFF, Mode.AUTO)
    assert settings.port == 8999


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SEMROUTER_PORT", "70000", "SEMROUTER_PORT: expected int <= 65535, got '70000'"),
        ("SEMROUTER_PORT", "http", "SEMROUTER_PORT: expected int, got 'http'"),
        ("SEMROUTER_ENABLED", "yes", "SEMROUTER_ENABLED: expected bool, got 'yes'"),
        ("SEMROUTER_DEFAULT_MODE", "on", "SEMROUTER_DEFAULT_MODE: expected one of off, auto, shadow, force, got 'on'"),
        ("SEMROUTER_ALLOWED_MODES", "on", "SEMROUTER_ALLOWED_MODES: expected one of off, auto, shadow, force"),
        ("SEMROUTER_ALLOWED_MODES", "auto", "SEMROUTER_DEFAULT_MODE: expected one of SEMROUTER_ALLOWED_MODES, got off"),
        ("SEMROUTER_ROUTING_BUDGET_MS", "0", "SEMROUTER_ROUTING_BUDGET_MS: expected int >= 1, got '0'"),
    ],
)
def test_a_bad_value_is_refused(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        read_settings({variable: value})

    assert message in str(refused.value)


def test_a_missing_secret_is_named_by_its_variable() -> None:
    with pytest.raises(ConfigurationInvalid, match=r"upstreams\.yaml: \$\.key: .* variable KEY to be set"):
        read_secret({"KEY": ""}, "KEY", Path("upstreams.yaml"), "$.key")


def test_the_table_lists_every_variable_with_its_meaning() -> None:
    rows = settings_table().splitlines()

    assert "| `SEMROUTER_DEFAULT_MODE` | `off` | The mode of a request without X-Dynamo-Routing. |" in rows
    assert all(row.count("|") == 4 and not row.endswith("|  |") for row in rows)
