"""The decision log's file: what stands in it, and that requests never depend on it."""

import asyncio
import json
import logging
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from router_proxy.configuration.settings import read_settings
from router_proxy.errors import ConfigurationInvalid
from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING, StartProxy
from tests.router_proxy.test_commands import announced_url, serving
from tests.stand_ins.triton import StandInTriton
from tests.stand_ins.upstream import EchoUpstream


def read_log(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


async def test_the_file_holds_the_line_that_standard_output_gets(
    start_proxy: StartProxy, stand_in_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "semrouter.decisions")
    proxy = await start_proxy(stand_in_url, SEMROUTER_DECISION_LOG=str(tmp_path / "log"))

    await proxy.chat(HARD)
    await proxy.chat(EASY, model=GENERAL)
    await proxy.client.close()

    printed = [json.loads(entry.message) for entry in caplog.records if entry.name == "semrouter.decisions"]
    logged = read_log(tmp_path / "log")
    assert logged == printed
    assert [(line["outcome"], line["target"]) for line in logged] == [("routed", REASONING), ("explicit", GENERAL)]
    assert "text" not in logged[0]


async def test_text_is_logged_only_by_its_own_switch_and_only_to_the_file(
    start_proxy: StartProxy, stand_in_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log = str(tmp_path / "log")
    proxy = await start_proxy(stand_in_url, SEMROUTER_DECISION_LOG=log, SEMROUTER_DECISION_LOG_TEXT="true")

    for mode, model in (("auto", "router"), ("shadow", GENERAL), ("auto", GENERAL), ("off", GENERAL)):
        await proxy.chat(HARD, mode=mode, model=model)
    await proxy.shadow_drained()
    await proxy.client.close()

    texts = {line["outcome"]: line["text"] for line in read_log(tmp_path / "log")}
    assert texts == {"routed": HARD, "shadow": HARD, "explicit": None, "off": None}  # what nobody judged stays out
    assert "sqrt" not in caplog.text


async def test_a_text_cut_for_judging_is_logged_as_it_was_judged(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str, tmp_path: Path
) -> None:
    log = str(tmp_path / "log")
    proxy = await start_proxy(stand_in_url, SEMROUTER_DECISION_LOG=log, SEMROUTER_DECISION_LOG_TEXT="true")

    await proxy.chat("é" * 100_000)
    await proxy.client.close()

    (line,) = read_log(tmp_path / "log")
    assert line["text"] == stand_in.texts[-1]


async def test_shadow_requests_not_judged_by_the_end_are_logged_without_a_decision(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    proxy = await start_proxy(stand_in_url, SEMROUTER_DECISION_LOG=str(log))
    stand_in.released.clear()

    for _ in range(3):
        await proxy.chat(HARD, mode="shadow", model=GENERAL)
    closing = asyncio.create_task(proxy.client.close())
    async with asyncio.timeout(10):
        while not log.exists() or len(read_log(log)) < 3:  # noqa: ASYNC110 - a file tells nobody that it grew
            await asyncio.sleep(0.01)
    stand_in.released.set()  # Triton's answer comes too late
    await closing

    assert [(line["outcome"], line["scores"]) for line in read_log(log)] == [("shadow", None)] * 3


async def test_a_full_disk_costs_lines_and_a_counter_but_no_request(
    start_proxy: StartProxy, stand_in_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_DECISION_LOG="/dev/full")

    answers = [await proxy.chat(text) for text in (HARD, EASY)]
    async with asyncio.timeout(10):
        while await proxy.metric("semrouter_decision_log_dropped_total", reason="not_written") < 2:
            pass

    assert [answer.outcome for answer in answers] == ["routed", "routed"]
    assert [entry.message for entry in caplog.records if entry.levelno == logging.ERROR] == [
        "decision log /dev/full: No space left on device; lines are dropped and counted"
    ]


def test_text_without_a_file_is_refused() -> None:
    with pytest.raises(ConfigurationInvalid, match=r"SEMROUTER_DECISION_LOG_TEXT: expected SEMROUTER_DECISION_LOG"):
        read_settings({"SEMROUTER_DECISION_LOG_TEXT": "true"})


async def test_workers_share_the_file_and_write_what_waits_before_they_end(tmp_path: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    async with (
        TestServer(EchoUpstream(GENERAL).app) as server,
        serving(
            tmp_path,
            upstream_url=str(server.make_url("")),
            SEMROUTER_WORKERS="2",
            SEMROUTER_DECISION_LOG=str(log),
        ) as parent,
        aiohttp.ClientSession(await announced_url(parent)) as session,
    ):
        for number in range(60):
            headers = {"Connection": "close", "X-Request-Id": f"request-{number}"}
            async with session.post("/v1/chat/completions", json={"model": GENERAL}, headers=headers) as response:
                assert response.status == 200
        parent.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(parent.wait(), 60) == 0

    assert sorted(line["request_id"] for line in read_log(log)) == sorted(f"request-{n}" for n in range(60))
