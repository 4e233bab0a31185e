"""Chromium through its debugging pipe: a page at any width, light or dark, what it says, asks for and looks like."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WHY_NOT = "needs Chromium: apt-get install chromium"
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class Browser:
    """One tab. ``said`` are messages of its console and errors, ``asked`` the addresses that it requested."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write, self._rest, self._number = read, write, b"", 0
        self.said: list[str] = []
        self.asked: list[str] = []
        self._session: str | None = None
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """A command's answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.consoleAPICalled":
                self.said.append(str([each.get("value") for each in params["args"]]))
            case "Runtime.exceptionThrown":
                self.said.append(str(params["exceptionDetails"]))
            case "Log.entryAdded":
                self.said.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])

    def open(self, path: Path, width: int, scheme: str = "light", medium: str = "") -> None:
        """Shows a file, 900 px high."""
        self.do("Emulation.setScrollbarsHidden", hidden=True)  # as on a phone, where they lie above the page
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.do("Emulation.setEmulatedMedia", media=medium, features=features)
        self.do("Page.navigate", url=path.as_uri())
        self.ask("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))")

    def ask(self, expression: str) -> Any:
        """What an expression of JavaScript comes to."""
        found = self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self, path: Path, most: int = 8000) -> None:
        """Writes a PNG of the page, from its top, at most so many pixels high."""
        size = self.do("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most), "scale": 1}
        found = self.do("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a profile of its own, which ends with the block."""
    theirs, ours = os.pipe()
    mine, yours = os.pipe()

    def place() -> None:  # Chromium reads from 3 and writes to 4
        ends = [os.dup(theirs), os.dup(yours)]
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    with tempfile.TemporaryDirectory(prefix="plumbline-", ignore_cleanup_errors=True) as profile:
        line = [str(CHROMIUM), *_OPTIONS, f"--user-data-dir={profile}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(line, preexec_fn=place, pass_fds=(3, 4), **quiet) as process:
            os.close(theirs)
            os.close(yours)
            try:
                yield Browser(mine, ours)
            finally:
                process.kill()
                os.close(ours)
                os.close(mine)
