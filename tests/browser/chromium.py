"""A headless Chromium, driven over its DevTools protocol: as much of a client as these tests need.

Which binary: ``HTXDATA_CHROMIUM`` (read before the tests' environment is emptied), else the first that is on the PATH.
Its profile is a folder of its own, and it reaches nothing but files.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_NAMED = os.environ.get("HTXDATA_CHROMIUM")
_PATIENCE = 60.0  # seconds; a busy machine of two cores takes ten to start it
_FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-breakpad", "--disable-dev-shm-usage", "--password-store=basic", "--use-mock-keychain",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>",
    "--remote-debugging-port=0", "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip

_Answer = TypeVar("_Answer")


def binary() -> str | None:
    """The browser to use, ``None`` where there is none."""
    return shutil.which(_NAMED) if _NAMED else next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """One page. ``errors`` are what its console said, ``asked`` every address that it wanted."""

    def __init__(self, browser: Browser, target: dict[str, Any]) -> None:
        self._browser, self._target, self._numbers = browser, target, count(1)
        self.errors: list[str] = []
        self.asked: list[str] = []
        self._loaded = False
        self._line = browser.run(browser.session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0))
        for room in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{room}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer; what the page says meanwhile is noted."""
        number = next(self._numbers)
        self._browser.run(self._line.send_json({"id": number, "method": method, "params": parameters}))
        while True:
            said = self._next()
            if said.get("id") == number:
                assert "error" not in said, f"{method}: {said['error']}"
                return dict(said["result"])

    def _next(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._browser.run(self._line.receive_str(timeout=_PATIENCE)))
        what, more = said.get("method"), said.get("params", {})
        if what == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(more["exceptionDetails"]))
        elif what == "Runtime.consoleAPICalled" and more["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(more["args"]))
        elif what == "Log.entryAdded" and more["entry"]["level"] in ("error", "warning"):
            self.errors.append(json.dumps(more["entry"]))
        elif what == "Network.requestWillBeSent":
            self.asked.append(more["request"]["url"])
        elif what == "Page.loadEventFired":
            self._loaded = True
        return said

    def open(self, file: Path) -> None:
        self._loaded = False
        self.call("Page.navigate", url=file.as_uri())
        while not self._loaded:
            self._next()
        self.settle()

    def settle(self) -> None:
        """Until what was asked to be drawn is drawn."""
        self.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def js(self, text: str) -> Any:
        """The value of an expression."""
        told = self.call("Runtime.evaluate", expression=text, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def size(self, width: int, height: int, *, ratio: float = 1, phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=ratio, mobile=phone
        )  # fmt: skip
        if phone:
            self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        self.settle()

    def media(self, **features: str) -> None:
        """``prefers_color_scheme="dark"``."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=listed)
        self.settle()

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)
        self.settle()

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)
        self.settle()

    def middle(self, selector: str) -> tuple[float, float]:
        """Where to click an element, after it is scrolled into sight."""
        text = json.dumps(selector)
        self.js(f"document.querySelector({text}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.js(f"document.querySelector({text}).getBoundingClientRect().toJSON()")
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def picture(self, file: Path, *, whole: bool = False) -> None:
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self._browser.run(self._line.close())
        self._browser.get("PUT", f"/json/close/{self._target['id']}")


class Browser:
    """A browser that runs; see :func:`running`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self._loop, self._base = loop, f"http://127.0.0.1:{port}"
        self.session = self.run(_session())

    def run(self, work: Awaitable[_Answer]) -> _Answer:
        return self._loop.run_until_complete(asyncio.wait_for(work, _PATIENCE))

    def get(self, method: str, path: str) -> str:
        async def ask() -> str:
            async with self.session.request(method, self._base + path) as reply:
                return await reply.text()

        return self.run(ask())

    def tab(self) -> Tab:
        return Tab(self, json.loads(self.get("PUT", "/json/new?about:blank")))


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


@contextlib.contextmanager
def running(command: str) -> Iterator[Browser]:
    """A browser until the block ends; its processes and its profile are gone then."""
    profile = Path(tempfile.mkdtemp(prefix="htxdata-chromium-"))
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else []), f"--user-data-dir={profile}"]
    home = {"HOME": str(profile), "XDG_CONFIG_HOME": str(profile), "XDG_CACHE_HOME": str(profile)}
    process = subprocess.Popen(
        [command, *flags, "about:blank"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, **home}, start_new_session=True,
    )  # fmt: skip
    loop = asyncio.new_event_loop()
    browser = None
    try:
        browser = Browser(loop, _port(profile, process))
        yield browser
    finally:
        if browser is not None:
            with contextlib.suppress(Exception):
                browser.run(browser.session.close())
        loop.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE)
        _remove(profile)


def _port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """It writes the port that it took into its profile."""
    deadline = time.monotonic() + _PATIENCE
    file = profile / "DevToolsActivePort"
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            lines = file.read_text().splitlines()
            if len(lines) == 2:
                return int(lines[0])
        assert process.poll() is None, f"the browser ended at once, with {process.returncode}"
        time.sleep(0.05)
    raise TimeoutError("the browser does not say where it listens")


def _remove(folder: Path) -> None:
    """Its children may be writing still, for some milliseconds."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
