"""`semrouter serve` as a process."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from tests.stand_ins.upstream import EchoUpstream

from .conftest import GENERAL

SEMROUTER = Path(sys.executable).with_name("semrouter")
FEW_DESCRIPTORS = 256
SERVE = {
    "many": [str(SEMROUTER), "serve"],
    "few": ["/bin/sh", "-c", f'ulimit -n {FEW_DESCRIPTORS} && exec "$0" serve', str(SEMROUTER)],
}


@asynccontextmanager
async def serving(
    tmp_path: Path,
    upstream_url: str = "http://127.0.0.1:1",
    descriptors: str = "many",
    **variables: str,
) -> AsyncIterator[Process]:
    (tmp_path / "upstreams.yaml").write_text(f"upstreams: {{{GENERAL}: {{endpoints: ['{upstream_url}']}}}}")
    environ = {"SEMROUTER_UPSTREAMS": str(tmp_path / "upstreams.yaml"), "SEMROUTER_PORT": "0"} | variables
    process = await asyncio.create_subprocess_exec(*SERVE[descriptors], env=environ, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: Process, words: str) -> str:
    """Return the next line on standard error that holds `words`."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while line := (await process.stderr.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"the process ended without saying {words!r}")


async def announced_url(process: Process) -> str:
    line = await said(process, "listening on")
    return line.split("listening on ")[1].split(",")[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    async with serving(tmp_path) as process:
        url = await announced_url(process)
        async with aiohttp.ClientSession() as session, session.get(f"{url}/health/live") as response:
            status = response.status

        process.send_signal(number)

        assert (status, await asyncio.wait_for(process.wait(), 30)) == (200, 0)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_an_open_stream_is_finished_before_it_ends(tmp_path: Path, workers: str) -> None:
    upstream = EchoUpstream(GENERAL)
    upstream.held.clear()
    async with (
        TestServer(upstream.app) as server,
        serving(tmp_path, upstream_url=str(server.make_url("")), SEMROUTER_WORKERS=workers) as process,
        aiohttp.ClientSession(await announced_url(process)) as session,
    ):
        body = {"model": GENERAL, "stream": True}
        async with session.post("/v1/chat/completions", json=body) as response:
            begun = await response.content.readuntil(b"\n\n")
            process.send_signal(signal.SIGTERM)
            while await accepts_connections(session):
                pass
            upstream.held.set()
            rest = await response.content.read()

        assert b"from " in begun
        assert rest.endswith(b"data: [DONE]\n\n")
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_sighup_takes_changed_files_into_use(tmp_path: Path) -> None:
    async with serving(tmp_path) as process, aiohttp.ClientSession(await announced_url(process)) as session:
        assert await accepts_connections(session)
        (tmp_path / "upstreams.yaml").write_text("upstreams: {new: {endpoints: ['http://127.0.0.1:1']}}")

        process.send_signal(signal.SIGHUP)

        await said(process, "reloaded")
        async with session.get("/v1/models") as response:
            assert [model["id"] for model in (await response.json())["data"]] == ["new"]


async def accepts_connections(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/health/live", headers={"Connection": "close"}):
            return True
    except aiohttp.ClientError:
        return False


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        pytest.param({"SEMROUTER_PORT": "no"}, "SEMROUTER_PORT: expected int, got 'no'", id="setting"),
        pytest.param({"SEMROUTER_UPSTREAMS": "/none.yaml"}, "/none.yaml: $: cannot be read", id="upstreams"),
        pytest.param(
            {"SEMROUTER_ENABLED": "1", "SEMROUTER_CONFIG": "/none.yaml"}, "/none.yaml: $: cannot", id="policy"
        ),
    ],
)
async def test_a_bad_configuration_ends_it_with_one_line(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    async with serving(tmp_path, **variables) as process:
        _, errors = await process.communicate()

    assert process.returncode == 1
    (line,) = errors.decode().splitlines()
    assert line.startswith("Error: ")
    assert message in line
