"""Changed files are taken into use while requests run, or refused as a whole."""

import asyncio
import os
from pathlib import Path

import pytest
import yaml

from .conftest import EASY, GENERAL, REASONING, Proxy, StartProxy

POLICY = """
reasoning_model: {reasoning}
general_model: {general}
abstain_onprem_model: {general}
threshold_min_conf: {threshold}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.format(reasoning=REASONING, general=GENERAL, threshold=0.6))
    return file


@pytest.fixture
async def proxy(start_proxy: StartProxy, gone_url: str, policy: Path) -> Proxy:
    return await start_proxy(gone_url.removeprefix("http://"), SEMROUTER_CONFIG=str(policy))


@pytest.fixture
def upstreams_file(tmp_path: Path) -> Path:
    return tmp_path / "upstreams.yaml"


async def test_a_new_abstain_target_is_used(proxy: Proxy, policy: Path) -> None:
    policy.write_text(POLICY.format(reasoning=GENERAL, general=REASONING, threshold=0.6))

    proxy.live.reload()

    assert (await proxy.chat(EASY)).body["model"] == REASONING


async def test_a_change_is_noticed_without_being_told(proxy: Proxy, policy: Path) -> None:
    policy.write_text(POLICY.format(reasoning=GENERAL, general=REASONING, threshold=0.6))

    async with asyncio.timeout(30):
        while (await proxy.chat(EASY)).body["model"] == GENERAL:
            pass


async def test_a_new_upstream_is_served_and_a_removed_one_is_not(proxy: Proxy, upstreams_file: Path) -> None:
    form = yaml.safe_load(upstreams_file.read_text())
    form["upstreams"]["new"] = form["upstreams"][GENERAL]
    upstreams_file.write_text(yaml.safe_dump(form))
    proxy.live.reload()
    added = await proxy.chat(EASY, model="new")

    del form["upstreams"]["new"]
    upstreams_file.write_text(yaml.safe_dump(form))
    proxy.live.reload()

    assert (added.status, (await proxy.chat(EASY, model="new")).status) == (200, 404)


async def test_what_is_known_about_an_endpoint_survives(proxy: Proxy) -> None:
    (before,) = proxy.gateway.upstreams.serving(GENERAL).endpoints

    proxy.live.reload()

    assert proxy.gateway.upstreams.serving(GENERAL).endpoints == [before]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("rules: {", id="malformed"),
        pytest.param(POLICY.format(reasoning=REASONING, general=GENERAL, threshold=1.4), id="threshold of 1.4"),
        pytest.param(
            POLICY.format(reasoning="{model: m, params: {x: {on: 1}}}", general=GENERAL, threshold=0.6), id="on"
        ),
        pytest.param(
            POLICY.format(reasoning="&a {model: m, params: {x: *a}}", general=GENERAL, threshold=0.6), id="alias"
        ),
        pytest.param(
            POLICY.format(reasoning="{model: m, params: {x: .inf}}", general=GENERAL, threshold=0.6), id="inf"
        ),
        pytest.param("#" * 2_000_000, id="2 MB"),
        pytest.param("- " * 100_000, id="deep"),
        pytest.param(POLICY.format(reasoning=REASONING, general="unserved", threshold=0.6), id="target nobody serves"),
    ],
)
async def test_a_bad_policy_is_refused_and_the_old_one_stays(proxy: Proxy, policy: Path, text: str) -> None:
    in_use = proxy.gateway.routing
    policy.write_text(text)

    proxy.live.reload()

    assert proxy.gateway.routing is in_use
    assert await proxy.metric("semrouter_configuration_refused") == 1
    assert "configuration" in (await (await proxy.client.get("/health/ready")).json())["degraded"]


async def test_a_refused_file_that_is_mended_is_taken_into_use(proxy: Proxy, policy: Path) -> None:
    good = policy.read_text()
    policy.unlink()
    proxy.live.reload()
    policy.write_text(good)

    proxy.live.reload()

    assert proxy.gateway.configuration_error is None
    assert await proxy.metric("semrouter_configuration_refused") == 0


async def test_a_good_file_is_not_taken_beside_a_bad_one(proxy: Proxy, policy: Path, upstreams_file: Path) -> None:
    policy.write_text(POLICY.format(reasoning=GENERAL, general=REASONING, threshold=0.6))
    upstreams_file.write_text("upstreams: {}")

    proxy.live.reload()

    assert (await proxy.chat(EASY)).body["model"] == GENERAL


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param("127.0.0.1", "gpu..team-a", "expected a host that can be looked up", id="an empty label"),
        pytest.param("127.0.0.1", 64 * "x", "expected a host that can be looked up", id="a long label"),
        pytest.param("max_in_flight", "max_in_fligth", "did you mean max_in_flight?", id="misspelt key"),
        pytest.param("max_in_flight: 9", "timeouts: {total: .inf}", "expected a finite number", id="infinite timeout"),
        pytest.param("max_in_flight: 9", "timeouts: {connect: 1.0e+300}", "<= 604800", id="a timeout of ages"),
        pytest.param("max_in_flight: 9", "ca_file: /dev/zero", "expected certificates", id="certificates without end"),
    ],
)
async def test_upstreams_that_cannot_work_are_refused_and_the_next_change_is_noticed(
    proxy: Proxy, upstreams_file: Path, old: str, new: str, reason: str
) -> None:
    good = upstreams_file.read_text()
    form = yaml.safe_load(good)
    form["upstreams"]["new"] = {**form["upstreams"][GENERAL], "max_in_flight": 9}
    wanted = yaml.safe_dump(form)
    upstreams_file.write_text(wanted.replace(old, new))

    async with asyncio.timeout(30):
        while reason not in str(proxy.gateway.configuration_error):
            await proxy.chat(EASY)
        upstreams_file.write_text(wanted)
        while (await proxy.chat(EASY, model="new")).status == 404:
            pass


@pytest.mark.parametrize("name", ["policy.yaml", "upstreams.yaml"])
async def test_a_named_pipe_in_place_of_a_file_stops_nothing(proxy: Proxy, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    good = file.read_text()
    file.unlink()
    os.mkfifo(file)

    async with asyncio.timeout(30):
        while "expected a regular file" not in str(proxy.gateway.configuration_error):
            await proxy.chat(EASY)
        file.unlink()
        file.write_text(good)
        while proxy.gateway.configuration_error is not None:
            await proxy.chat(EASY)
