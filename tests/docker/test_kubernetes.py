"""The manifests as kustomize renders them, against Kubernetes' own schemas and against each other; no cluster."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from router_proxy.configuration.settings import read_settings
from router_proxy.configuration.upstreams_file import load_upstreams
from routing_policy.policy import policy_targets
from routing_policy.policy_file import load_policy
from tests.docker.conftest import DOCKER, RunTool, read_dockerfile

KUBERNETES = DOCKER / "kubernetes"
QUEUE = {
    "apiVersion": "kustomize.config.k8s.io/v1beta1",
    "kind": "Kustomization",
    "resources": ["kubernetes/base"],
    "components": ["kubernetes/queue-autoscaling"],
}
KINDS = {
    "ConfigMap": ["semrouter-canaries", "semrouter-policy", "semrouter-upstreams"],
    "Deployment": ["proxy", "triton"],
    "HorizontalPodAutoscaler": ["proxy"],
    "Namespace": ["semrouter"],
    "NetworkPolicy": ["default-deny", "proxy", "triton"],
    "PodDisruptionBudget": ["proxy", "triton"],
    "Service": ["proxy", "triton"],
}


class Manifests(msgspec.Struct, frozen=True, kw_only=True):
    """What one kustomization renders to."""

    overlay: str
    file: Path
    objects: dict[tuple[str, str], dict[str, Any]]

    def spec(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.objects[kind, name]["spec"]
        return found

    def pod(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.spec("Deployment", name)["template"]["spec"]
        return found

    def container(self, name: str) -> dict[str, Any]:
        [found] = self.pod(name)["containers"]
        return dict(found)

    def names(self) -> dict[str, list[str]]:
        kinds = sorted({kind for kind, _ in self.objects})
        return {kind: sorted(name for each, name in self.objects if each == kind) for kind in kinds}


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the kustomizations, with one that a user of the queue component would write."""
    mine = tmp_path_factory.mktemp("mine")
    (mine / "kubernetes").symlink_to(KUBERNETES)
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(QUEUE), encoding="utf-8")
    return {"base": KUBERNETES / "base", "gpu": KUBERNETES / "gpu", "queue": mine}


@pytest.fixture(scope="module", params=["base", "gpu", "queue"])
def manifests(
    request: pytest.FixtureRequest,
    directories: dict[str, Path],
    run_tool: RunTool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Manifests:
    file = tmp_path_factory.mktemp(request.param) / "rendered.yaml"
    load = ["--load-restrictor", "LoadRestrictionsNone"] if request.param == "queue" else []
    file.write_text(run_tool("kubectl", "kustomize", *load, directories[request.param]), encoding="utf-8")
    documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    objects = {(each["kind"], each["metadata"]["name"]): each for each in documents}
    return Manifests(overlay=request.param, file=file, objects=objects)


def test_kubernetes_own_schemas_accept_every_object_strictly(manifests: Manifests, run_tool: RunTool) -> None:
    run_tool("kubernetes-validate", "--strict", "--quiet", manifests.file)


def test_every_object_is_there_once(manifests: Manifests) -> None:
    queue = {"HorizontalPodAutoscaler": ["proxy", "triton"]} if manifests.overlay == "queue" else {}

    assert manifests.names() == KINDS | queue


@pytest.mark.parametrize("name", ["proxy", "triton"])
def test_selectors_find_the_pods_of_their_deployment(manifests: Manifests, name: str) -> None:
    labels = manifests.spec("Deployment", name)["template"]["metadata"]["labels"].items()
    selectors = [
        manifests.spec("Deployment", name)["selector"]["matchLabels"],
        manifests.spec("Service", name)["selector"],
        manifests.spec("PodDisruptionBudget", name)["selector"]["matchLabels"],
        manifests.spec("NetworkPolicy", name)["podSelector"]["matchLabels"],
        manifests.spec("NetworkPolicy", "default-deny")["podSelector"]["matchLabels"],
    ]

    assert [selector for selector in selectors if not selector.items() <= labels] == []


@pytest.mark.parametrize("name", ["proxy", "triton"])
def test_services_probes_and_policies_use_ports_of_the_container(manifests: Manifests, name: str) -> None:
    container = manifests.container(name)
    ports = {port["name"] for port in container["ports"]}
    probes = [container[probe] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    ingress = manifests.spec("NetworkPolicy", name)["ingress"]

    used = {port["targetPort"] for port in manifests.spec("Service", name)["ports"]}
    used |= {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe}
    used |= {port["port"] for rule in ingress for port in rule["ports"]}

    assert used == ports


@pytest.mark.parametrize("name", ["proxy", "triton"])
def test_the_images_expose_the_container_ports(manifests: Manifests, name: str) -> None:
    [exposed] = read_dockerfile(name).arguments("EXPOSE")

    assert [str(port["containerPort"]) for port in manifests.container(name)["ports"]] == exposed.split()


@pytest.mark.parametrize("name", ["proxy", "triton"])
def test_pods_run_restricted(manifests: Manifests, name: str) -> None:
    pod = manifests.pod(name)

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


def test_triton_is_restarted_when_a_real_inference_failed_for_ten_seconds(manifests: Manifests) -> None:
    liveness = manifests.container("triton")["livenessProbe"]

    assert liveness["exec"]["command"][-1].endswith("/docker/triton/probe.py")
    assert liveness["periodSeconds"] * liveness["failureThreshold"] == 10


def test_triton_serves_a_read_only_copy_and_has_shared_memory_of_its_own(manifests: Manifests) -> None:
    volumes = {volume["name"]: volume for volume in manifests.pod("triton")["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in manifests.container("triton")["volumeMounts"]}
    [refresh] = manifests.pod("triton")["initContainers"]

    assert mounts["/var/lib/semrouter/model_repository"]["readOnly"] is True
    assert refresh["args"] == ["refresh"]
    assert "readOnly" not in refresh["volumeMounts"][0]
    assert volumes[mounts["/dev/shm"]["name"]]["emptyDir"]["medium"] == "Memory"  # noqa: S108 - a mount point


def test_triton_is_reached_through_a_headless_service_that_the_proxy_resolves(manifests: Manifests) -> None:
    environment = {each["name"]: each["value"] for each in manifests.container("proxy")["env"]}

    settings = read_settings(environment)

    assert manifests.spec("Service", "triton")["clusterIP"] == "None"
    assert settings.triton_url == "dns:///triton:8001"
    assert settings.enabled


def test_a_pod_outlives_the_streams_it_drains(manifests: Manifests) -> None:
    environment = {each["name"]: each["value"] for each in manifests.container("proxy")["env"]}
    [_, slept] = manifests.container("proxy")["lifecycle"]["preStop"]["exec"]["command"]

    grace = manifests.pod("proxy")["terminationGracePeriodSeconds"]

    assert grace > int(slept) + read_settings(environment).drain_seconds


def test_config_maps_are_mounted_whole_so_that_a_change_arrives_without_a_restart(manifests: Manifests) -> None:
    mounts = [mount for name in ("proxy", "triton") for mount in manifests.container(name)["volumeMounts"]]

    assert [mount for mount in mounts if "subPath" in mount] == []
    for name, variable in (("proxy", "SEMROUTER_CONFIG"), ("triton", "SEMROUTER_CONFIG")):
        environment = {each["name"]: each["value"] for each in manifests.container(name)["env"]}
        assert environment[variable] == "/etc/semrouter/policy/policy.yaml"


def test_the_policy_and_upstreams_in_the_config_maps_load_and_agree(manifests: Manifests, tmp_path: Path) -> None:
    for name in ("policy", "upstreams"):
        [(file, text)] = manifests.objects["ConfigMap", f"semrouter-{name}"]["data"].items()
        (tmp_path / file).write_text(text, encoding="utf-8")

    policy = load_policy(tmp_path / "policy.yaml")
    upstreams = load_upstreams(tmp_path / "upstreams.yaml")

    assert {target.model for target in policy_targets(policy).values()} <= upstreams.upstreams.keys()


def test_only_the_gpu_overlay_asks_for_a_card(manifests: Manifests) -> None:
    limits = manifests.container("triton")["resources"]["limits"]

    assert limits.get("nvidia.com/gpu") == (1 if manifests.overlay == "gpu" else None)


@pytest.mark.parametrize("name", ["proxy", "triton"])
def test_a_deployment_that_is_scaled_automatically_fixes_no_replicas(manifests: Manifests, name: str) -> None:
    scaled = ("HorizontalPodAutoscaler", name) in manifests.objects

    assert ("replicas" in manifests.spec("Deployment", name)) != scaled


def test_promtool_accepts_the_clusters_scrape_jobs_which_keep_the_names_the_rules_know(
    run_tool: RunTool, tmp_path: Path
) -> None:
    """Debian builds Prometheus without Kubernetes' service discovery, so that part is checked by hand."""
    configuration = yaml.safe_load((KUBERNETES / "prometheus.yaml").read_text(encoding="utf-8"))
    discovery = [job.pop("kubernetes_sd_configs") for job in configuration["scrape_configs"]]
    configuration["rule_files"] = [str(KUBERNETES / file) for file in configuration["rule_files"]]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")

    run_tool("promtool", "check", "config", tmp_path / "prometheus.yaml")

    assert [job["job_name"] for job in configuration["scrape_configs"]] == ["semrouter", "triton"]
    assert discovery == [[{"role": "pod", "namespaces": {"names": ["semrouter"]}}]] * 2


def test_the_adapter_provides_the_metric_that_scales_triton() -> None:
    [rule] = yaml.safe_load((KUBERNETES / "queue-autoscaling" / "prometheus-adapter-values.yaml").read_text())["rules"][
        "custom"
    ]
    [metric] = yaml.safe_load((KUBERNETES / "queue-autoscaling" / "triton-hpa.yaml").read_text())["spec"]["metrics"]

    assert rule["name"]["as"] == metric["pods"]["metric"]["name"]


def test_the_canaries_are_the_shipped_ones(manifests: Manifests) -> None:
    canaries = manifests.objects["ConfigMap", "semrouter-canaries"]["data"]["canaries.yaml"]

    assert yaml.safe_load(canaries) == yaml.safe_load(
        (DOCKER.parent / "configs" / "canaries.yaml").read_text(encoding="utf-8")
    )
