"""upstreams.yaml: what loads and what is refused, with the place and the reason."""

from pathlib import Path

import pytest

from router_proxy.configuration.upstreams_file import load_upstreams
from router_proxy.errors import ConfigurationInvalid
from router_proxy.upstreams.upstreams import Upstreams
from routing_policy.policy import policy_targets
from routing_policy.policy_file import load_policy

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("policy", ["semantic-router-binary.yaml", "semantic-router.yaml"])
def test_the_shipped_file_serves_every_target_of_the_shipped_policies(policy: str) -> None:
    served = load_upstreams(CONFIGS / "upstreams.yaml").upstreams

    assert {target.model for target in policy_targets(load_policy(CONFIGS / policy)).values()} <= served.keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("upstreams: {m: {endpoints: []}, m: {}}", "duplicate key 'm'", id="the same name twice"),
        pytest.param("- upstreams", "expected a mapping, got list", id="a list"),
        pytest.param("upstreams: {", "is not valid YAML", id="malformed"),
        pytest.param("upstreams: {}", "expected object of length >= 1", id="no upstream"),
        pytest.param("upstreams: {m: {}}", "$.upstreams.m: missing required key endpoints", id="no endpoints"),
        pytest.param(
            "upstreams: {m: {endpoints: ['http://a:port']}}",
            "expected a URL with a host and a port up to 65535",
            id="no port",
        ),
        pytest.param("upstreams: {m: {endpoints: []}}", "expected array of length >= 1", id="empty endpoints"),
        pytest.param("upstreams: {m: {endpoints: [localhost:8100]}}", "expected str matching", id="not a URL"),
        pytest.param(
            "upstreams: {m: {endpoints: ['http://a/v1']}}", "without /v1, got http://a/v1", id="v1 in the URL"
        ),
        pytest.param(
            "upstreams: {m: {endpoints: ['http://a'], key: x}}", "$.upstreams.m.key: unknown key", id="unknown key"
        ),
        pytest.param(
            "{limits: {in_flight_per_key: 1}, upstreams: {m: {endpoints: ['http://a']}}}",
            "$.limits.in_flight_per_key: expected keys in client_keys_env, got none",
            id="a limit per key without keys",
        ),
        pytest.param("upstreams: {router: {endpoints: ['http://a']}}", "is the alias", id="the alias"),
        pytest.param(
            "upstreams: {m: {endpoints: ['http://a'], api_key_env: K, auth: passthrough}}", "got both", id="two keys"
        ),
        pytest.param(
            "upstreams: {m: {endpoints: ['http://a'], fallbacks: [n]}}", "another upstream, got 'n'", id="fallback"
        ),
        pytest.param(
            "upstreams: {m: {endpoints: ['http://a'], fallbacks: [m]}}", "another upstream, got 'm'", id="itself"
        ),
        pytest.param(
            "{upstreams: {m: {endpoints: ['http://a'], auth: passthrough}}, client_keys_env: [K]}",
            "give away",
            id="keys",
        ),
        pytest.param(
            "upstreams: {m: {endpoints: ['http://a'], forward_headers: [Te]}}", "one connection", id="hop-by-hop"
        ),
        pytest.param("upstreams: {m: {endpoints: ['http://a'], forward_headers: ['a b']}}", "matching", id="no header"),
        pytest.param("upstreams: {m: {endpoints: ['http://a'], modalities: [smell]}}", "enum value", id="modality"),
        pytest.param("{upstreams: {m: {endpoints: ['http://a']}}, limits: {body_mib: 0}}", ">= 1", id="no body at all"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "upstreams.yaml"
    file.write_text(text)

    with pytest.raises(ConfigurationInvalid) as refused:
        load_upstreams(file)

    assert str(refused.value).startswith(f"{file}: ")
    assert message.lower() in str(refused.value).lower()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="cannot be read: No such file"):
        load_upstreams(tmp_path / "none.yaml")


def test_a_key_that_is_not_set_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "upstreams.yaml"
    file.write_text("upstreams: {m: {endpoints: ['http://a'], api_key_env: M_KEY}}")

    with pytest.raises(ConfigurationInvalid, match=r"\$.upstreams.m.api_key_env: .* M_KEY to be set"):
        Upstreams(load_upstreams(file), {}, file)
