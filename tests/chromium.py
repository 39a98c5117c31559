"""A real browser without a screen, driven over https://chromedevtools.github.io/devtools-protocol/."""

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from local.stack.processes import ManagedProcess

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")  # Ubuntu has Chromium only as a snap
START_SECONDS = 60
SHOW_SECONDS = 30

# No sandbox: Chromium refuses to run as root with one. No names but loopback's: nothing can leave this machine.
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")
_KEY_CODES = {"Enter": 13, "Tab": 9}
_SHIFT, _CONTROL = 8, 2


class Page:
    """One tab. `requested` and `complaints` are the URLs it asked for and what the browser said against it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._session: dict[str, str] = {}
        self.requested: list[str] = []
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters, **self._session})
        return await answer

    async def listen(self) -> None:
        async for message in self._socket:
            self._take(json.loads(message.data))

    async def attach(self) -> None:
        """Make a tab that shares nothing with any other, and follow what happens in it."""
        context = await self.call("Target.createBrowserContext", disposeOnDetach=True)
        target = await self.call("Target.createTarget", url="about:blank", **context)
        attached = await self.call("Target.attachToTarget", flatten=True, **target)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def reload(self) -> None:
        await self.evaluate("window.isOld = true")
        await self.call("Page.reload")
        await self.until("document.readyState === 'complete' && !window.isOld")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait for a JavaScript condition; a navigation in between starts the wait anew."""
        async with asyncio.timeout(SHOW_SECONDS):
            while not await self._holds(condition):
                pass

    async def text(self, selector: str) -> str:
        """Return what a person can read of an element."""
        return str(await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def type(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def press(self, key: str, *, shift: bool = False, control: bool = False) -> None:
        described = {
            "key": key,
            "code": key,
            "windowsVirtualKeyCode": _KEY_CODES[key],
            "modifiers": _SHIFT * shift + _CONTROL * control,
        }
        text = {"text": "\r"} if key == "Enter" else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **described, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **described)

    async def focused(self) -> str:
        """Return the id, or else the text, of the element that has the keyboard."""
        return str(await self.evaluate("document.activeElement.id || document.activeElement.innerText"))

    async def look_like(self, *, width: int, scheme: str = "light") -> None:
        """Take the size of a screen and its colour scheme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=2, mobile=width < 600
        )
        scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.call("Emulation.setEmulatedMedia", features=[scheme_feature])

    async def picture(self, file: Path) -> None:
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    async def _holds(self, condition: str) -> bool:
        """Look once a frame for up to a second."""
        look = (
            f"new Promise(done => {{ let left = 60; const look = () => "
            f"({condition}) ? done(true) : left-- ? requestAnimationFrame(look) : done(false); look() }})"
        )
        result = await self.call("Runtime.evaluate", expression=look, awaitPromise=True, returnByValue=True)
        return result.get("result", {}).get("value") is True

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers.pop(message["id"]).set_result(message.get("result", {}))
            return
        match message["method"]:
            case "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(message["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]["exceptionDetails"]))


@contextmanager
def run_chromium(directory: Path) -> Iterator[str]:
    """Run the browser with a profile in `directory` and yield the address it is driven at."""
    assert PROGRAM is not None
    environment = {**os.environ, "HOME": str(directory)}
    command = [PROGRAM, *_OPTIONS, f"--user-data-dir={directory / 'profile'}", "about:blank"]
    with ManagedProcess("chromium", command, environment, directory / "chromium.log") as browser:
        browser.wait_until(lambda: _LISTENING.search(browser.read_log()) is not None, START_SECONDS)
        yield _LISTENING.findall(browser.read_log())[0]


@asynccontextmanager
async def open_tab(devtools_url: str) -> AsyncIterator[Page]:
    """Open a tab of its own; what it holds is gone when it closes."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(devtools_url, max_msg_size=0) as socket,
    ):
        page = Page(socket)
        listening = asyncio.create_task(page.listen())
        try:
            await page.attach()
            yield page
        finally:
            listening.cancel()
            await asyncio.wait({listening})
