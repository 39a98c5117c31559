"""A share of the traffic: who is routed, that it stays so, and that the other arm costs no decision."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from router_proxy.configuration.upstreams_file import load_upstreams
from router_proxy.errors import ConfigurationInvalid
from router_proxy.request.share import arm_of
from tests.router_proxy.conftest import GENERAL, HARD, REASONING, StartProxy
from tests.stand_ins.triton import StandInTriton


def test_as_many_are_routed_as_asked_for() -> None:
    keys = [str(number).encode() for number in range(20_000)]

    routed = {share: {key for key in keys if arm_of(key, share) == "routed"} for share in (0, 5, 50, 100)}

    assert [len(routed[share]) / 200 for share in (0, 5, 50, 100)] == pytest.approx([0, 5, 50, 100], abs=1)
    assert routed[5] < routed[50]  # a larger share moves nobody back


async def test_a_conversation_stays_in_its_arm_and_control_is_never_judged(
    start_proxy: StartProxy, stand_in_url: str, tmp_path: Path
) -> None:
    proxy = await start_proxy(stand_in_url, {"share": 50}, SEMROUTER_DECISION_LOG=str(tmp_path / "log"))

    arms = set()
    for number in range(30):
        first, second = [await proxy.chat(HARD, prompt_cache_key=f"chat {number}", temperature=turn) for turn in (0, 1)]
        assert first.headers["x-semrouter-arm"] == second.headers["x-semrouter-arm"]
        arms.add((first.headers["x-semrouter-arm"], first.outcome, first.headers["x-semrouter-upstream"]))
    counted = {arm: await proxy.metric("semrouter_arm_requests_total", arm=arm) for arm in ("routed", "control")}
    await proxy.client.close()

    assert arms == {("routed", "routed", REASONING), ("control", "control", GENERAL)}
    logged = [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert counted == {arm: sum(line["arm"] == arm for line in logged) for arm in counted}
    assert all(line["scores"] is None for line in logged if line["arm"] == "control")


async def test_nobody_has_an_arm_who_names_a_model_or_while_all_are_routed(
    start_proxy: StartProxy, stand_in_url: str
) -> None:
    halved, whole = await start_proxy(stand_in_url, {"share": 0}), await start_proxy(stand_in_url)

    answers = [await halved.chat(HARD, model=REASONING), await whole.chat(HARD)]

    assert [answer.outcome for answer in answers] == ["explicit", "routed"]
    assert not any("x-semrouter-arm" in answer.headers for answer in answers)


async def test_a_share_changes_without_a_restart(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, {"share": 0})
    assert (await proxy.chat(HARD)).outcome == "control"
    assert not stand_in.texts

    file = proxy.gateway.settings.upstreams
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"share": 100}))
    proxy.live.reload()

    assert (await proxy.chat(HARD)).outcome == "routed"


async def test_a_key_stays_in_its_arm_whatever_it_asks(start_proxy: StartProxy, stand_in_url: str) -> None:
    keys = {f"KEY_{number}": f"secret-{number}" for number in range(12)}
    form = {"share": 50, "share_by": "key", "client_keys_env": list(keys)}
    proxy = await start_proxy(stand_in_url, form, **keys)

    for name, key in keys.items():
        for text in (HARD, "What is 2+2?"):
            body = {"model": "router", "messages": [{"role": "user", "content": text}]}
            answer = await proxy.post("/v1/chat/completions", body, mode="auto", Authorization=f"Bearer {key}")
            assert answer.headers["x-semrouter-arm"] == arm_of(name.encode(), 50)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"share": 101}, r"\$\.share: expected float <= 100"),
        ({"share": -1}, r"\$\.share: expected float >= 0"),
        ({"share": "half"}, r"\$\.share: expected float, got"),
        ({"share_by": "key"}, r"\$\.share_by: expected keys in client_keys_env"),
    ],
)
def test_a_share_that_is_none_is_refused(tmp_path: Path, given: dict[str, Any], reason: str) -> None:
    file = tmp_path / "upstreams.yaml"
    file.write_text(yaml.safe_dump({"upstreams": {"a": {"endpoints": ["http://a:1"]}}} | given))

    with pytest.raises(ConfigurationInvalid, match=reason):
        load_upstreams(file)
