"""The page at /ui: self-contained, on only when switched on, and right in a real browser."""

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from urllib.parse import quote

import pytest

from .conftest import GENERAL, HARD, REASONING, Proxy, StartProxy

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
async def proxy(start_proxy: StartProxy, stand_in_url: str) -> Proxy:
    return await start_proxy(stand_in_url, SEMROUTER_UI="true")


async def test_it_fetches_nothing_from_outside(proxy: Proxy) -> None:
    async with proxy.client.get("/ui") as response:
        html = await response.text()

    assert (response.status, response.content_type) == (200, "text/html")
    assert not re.search(r"(?:https?:)?//[\w.]|\b(?:src|href)=|@import|url\(", html)
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_it_is_off_unless_switched_on(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url)

    assert (await proxy.client.get("/ui")).status == 404


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian package chromium)")
async def test_a_browser_shows_the_decision_and_the_counters(proxy: Proxy, tmp_path: Path) -> None:
    await proxy.chat(HARD)
    screenshot = tmp_path / "page.png"

    html = await dom_in_chromium(f"{proxy.client.make_url('/ui')}#{quote(HARD)}", screenshot)

    decision = html[html.index('id="target"') :]
    assert decision.startswith(f'id="target">{REASONING}<')
    for shown in ("$.threshold_min_conf", GENERAL, "confidence", "tokens seen", "<td>routed</td>", ">up</td>"):
        assert shown in decision
    assert screenshot.stat().st_size > 10_000


async def dom_in_chromium(url: str, screenshot: Path) -> str:
    """Open `url` at the size of a phone, take a picture, and return the document after its scripts ran."""
    common = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=390,1600", "--virtual-time-budget=8000"]
    common += [f"--user-data-dir={screenshot.parent / 'profile'}"]
    for task in (f"--screenshot={screenshot}", "--dump-dom"):
        browser = await asyncio.create_subprocess_exec(str(CHROMIUM), *common, task, url, stdout=PIPE, stderr=DEVNULL)
        html, _ = await browser.communicate()
    return html.decode()
