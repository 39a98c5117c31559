"""compose.yaml, as Docker Compose itself reads it; no engine is needed for that."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from router_proxy.configuration.settings import read_settings
from router_proxy.configuration.upstreams_file import load_upstreams
from routing_policy.policy import policy_targets
from routing_policy.policy_file import load_policy
from tests.docker.conftest import DOCKER, RunTool

PROFILES = ["gpu", "cpu"]
SERVICES = {
    "gpu": ["triton-gpu", "vllm-general-gpu", "vllm-reasoning-gpu"],
    "cpu": ["triton-cpu", "vllm-general-cpu", "vllm-reasoning-cpu"],
}
SHARED = ["grafana", "prometheus", "proxy", "repository"]


@pytest.fixture(scope="module", params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def services(profile: str, run_tool: RunTool) -> dict[str, Any]:
    """Return the services of one profile, every variable and anchor resolved by Docker Compose."""
    rendered = run_tool(
        *("docker-compose", "--file", DOCKER / "compose.yaml", "--env-file", DOCKER / ".env.example"),
        *("--profile", profile, "config", "--format", "json"),
        COMPOSE_PROFILES=profile,
    )
    found: dict[str, Any] = json.loads(rendered)["services"]
    return found


def test_a_profile_has_its_servers_and_the_shared_ones(profile: str, services: dict[str, Any]) -> None:
    assert sorted(services) == sorted([*SERVICES[profile], *SHARED])


def test_everything_mounted_or_built_from_is_in_the_checkout(services: dict[str, Any]) -> None:
    sources = [
        mount["source"] for each in services.values() for mount in each.get("volumes", []) if mount["type"] == "bind"
    ]
    builds = [
        Path(each["build"]["context"]) / each["build"]["dockerfile"] for each in services.values() if "build" in each
    ]

    assert sources
    assert builds
    assert [str(path) for path in [*map(Path, sources), *builds] if not path.exists()] == []


def test_every_server_is_checked_by_what_it_is_for(profile: str, services: dict[str, Any]) -> None:
    tests = {name: " ".join(services[name]["healthcheck"]["test"]) for name in SERVICES[profile]}

    assert "probe.py" in tests[f"triton-{profile}"]
    assert "/v1/completions" in tests[f"vllm-general-{profile}"]
    assert "/v1/completions" in tests[f"vllm-reasoning-{profile}"]


def test_the_probe_of_a_vllm_asks_the_model_it_serves(profile: str, services: dict[str, Any]) -> None:
    for name in SERVICES[profile][1:]:
        assert services[name]["healthcheck"]["test"][-1] == services[name]["command"][0]


def test_only_the_repository_job_can_write_what_triton_serves(profile: str, services: dict[str, Any]) -> None:
    volumes = [mount for mount in services[f"triton-{profile}"]["volumes"] if mount["type"] == "volume"]
    [served, state] = sorted(volumes, key=lambda mount: str(mount["source"]))
    [written] = services["repository"]["volumes"]

    assert (served["source"], served["read_only"]) == ("model_repository", True)
    assert (state["source"], state["target"]) == ("triton_state", "/var/lib/semrouter/state")
    assert (written["source"], written.get("read_only", False)) == ("model_repository", False)


def test_ports_are_published_on_loopback_and_triton_is_not_published(services: dict[str, Any]) -> None:
    published = {name: [port["host_ip"] for port in each.get("ports", [])] for name, each in services.items()}

    assert {name: hosts for name, hosts in published.items() if hosts} == {
        name: ["127.0.0.1"] for name in ("proxy", "prometheus", "grafana")
    }


def test_a_gpu_is_reserved_by_device_id_in_the_gpu_profile_only(profile: str, services: dict[str, Any]) -> None:
    reserved = [
        device["device_ids"]
        for name in SERVICES[profile]
        for device in services[name].get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    ]

    assert reserved == ([["0"], ["0"], ["0"]] if profile == "gpu" else [])


def test_images_not_built_here_are_pinned(services: dict[str, Any]) -> None:
    images = [each["image"] for each in services.values() if "build" not in each]

    assert images
    assert [image for image in images if not re.search(r":v?\d+\.\d+\.\d+", image)] == []


def test_what_we_build_runs_hardened(profile: str, services: dict[str, Any]) -> None:
    for name in (f"triton-{profile}", "proxy", "repository", "prometheus", "grafana"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_triton_has_shared_memory_for_its_python_stubs(profile: str, services: dict[str, Any]) -> None:
    triton = services[f"triton-{profile}"]

    assert int(triton["shm_size"]) == 256 * 1024 * 1024
    assert triton["ulimits"] == {"memlock": -1, "stack": 67108864}


def test_every_target_of_the_policy_is_a_vllm_of_the_profile(profile: str, services: dict[str, Any]) -> None:
    policy = load_policy(DOCKER / "config" / "policy.yaml")
    upstreams = load_upstreams(DOCKER / "config" / "upstreams.yaml").upstreams
    served = {
        f"http://{alias}:8000": services[name]["command"][0]
        for name in SERVICES[profile][1:]
        for alias in services[name]["networks"]["default"]["aliases"]
    }

    assert {target.model for target in policy_targets(policy).values()} <= upstreams.keys()
    assert {url: name for name, form in upstreams.items() for url in form.endpoints} == served


def test_the_proxy_accepts_its_environment(services: dict[str, Any]) -> None:
    settings = read_settings(services["proxy"]["environment"])

    assert settings.enabled
    assert settings.triton_url == "triton:8001"


def test_every_variable_is_in_the_example_with_the_default_of_compose() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    lines = (DOCKER / ".env.example").read_text(encoding="utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    assert example == used | {"COMPOSE_PROFILES": "gpu"}


def test_every_yaml_file_of_the_deployment_loads() -> None:
    files = [*DOCKER.rglob("*.yaml"), *DOCKER.rglob("*.yml")]

    assert files
    for file in files:
        assert list(yaml.safe_load_all(file.read_text(encoding="utf-8"))), file
