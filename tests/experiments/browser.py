"""Runs pages in a headless Chromium, if one is installed."""

import json
import os
import select
import shutil
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_S = 60
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
_KEYS = {"Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
"""Keys that a script can press, with Windows' codes, by which Chromium knows them."""
_SCRIPT = """(async () => {
  const settled = () => new Promise((done) => setTimeout(done, 100));
  const press = (key) => new Promise((done) => {
    addEventListener("keyup", () => done(), { once: true });
    pressKey(key);
  });
  while (!document.documentElement.dataset.ready) await settled();
  %s
})()"""


class Visit(NamedTuple):
    """A visit: the result of the script, the errors of the page, and the addresses it fetched."""

    answer: Any
    complaints: list[str]
    fetched: list[str]


class Browser:
    """A Chromium that is controlled through two pipes with the DevTools protocol.

    Args:
        program: The path of Chromium.
        profile: An empty folder for its profile.
    """

    def __init__(self, program: str, profile: Path):
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        flags = (*_FLAGS, f"--user-data-dir={profile}")
        redirected = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", redirected, "bash", program, *flags, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._calls = 0
        self._events: list[dict[str, Any]] = []

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait(_PATIENCE_S)
        os.close(self._out)
        os.close(self._in)

    def visit(self, page: Path, script: str, *, width: int = 1200, dark: bool = False) -> Visit:
        """Opens a page, waits until it is drawn, and runs a script in it.

        Args:
            page: The file.
            script: The body of an async function; `settled()` waits for the page to redraw, and
                `press(key)` presses a key of the keyboard.
            width: The width of the window in pixels.
            dark: Whether the reader prefers dark pages.
        """
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable", session)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", session, **size)
        self._call("Runtime.addBinding", session, name="pressKey")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", session, features=[scheme])
        self._events.clear()
        self._call("Page.navigate", session, url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._keep(self._read())
        done = self._call(
            "Runtime.evaluate",
            session,
            expression=_SCRIPT % script,
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        self._call("Target.closeTarget", targetId=target)
        return Visit(done["result"].get("value"), self._complaints(), self._fetched())

    def _complaints(self) -> list[str]:
        kinds = {"error", "warning", "assert"}
        found = []
        for event in self._events:
            about = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(about["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and about["type"] in kinds:
                found.append(json.dumps(about["args"]))
            elif event["method"] == "Log.entryAdded" and about["entry"]["level"] in kinds:
                found.append(about["entry"]["text"])
        return found

    def _fetched(self) -> list[str]:
        sent = [e for e in self._events if e["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def _send(self, method: str, session: str | None, **parameters: Any) -> int:
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._calls

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = self._send(method, session, **parameters)
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._keep(answer)

    def _keep(self, message: dict[str, Any]) -> None:
        if "method" in message:
            self._events.append(message)
        if message.get("method") == "Runtime.bindingCalled":
            key = message["params"]["payload"]
            pressed = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key]}
            for kind in ("keyDown", "keyUp"):
                self._send("Input.dispatchKeyEvent", message["sessionId"], type=kind, **pressed)

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            read = os.read(self._in, 1 << 16) if ready else b""
            assert read, f"Chromium said nothing in {_PATIENCE_S} s, or ended"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


def find() -> str | None:
    """The path of an installed Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Elements(HTMLParser):
    """The parsed page: (tag, attributes) of each element, its text, and texts by id."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.by_id: dict[str, str] = {}
        self._open: list[tuple[str, str | None]] = []

    @classmethod
    def of(cls, page: str) -> "Elements":
        """Parses a page."""
        parser = cls()
        parser.feed(page)
        parser.close()
        return parser

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element with a tag."""
        return [attributes for name, attributes in self.all if name == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))
        self._open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] not in ("script", "style"):
            self.text.append(data)
        if self._open and (name := self._open[-1][1]):
            self.by_id[name] = self.by_id.get(name, "") + data


def shown(page: str) -> str:
    """The text of a page as a reader sees it."""
    return " ".join(" ".join(Elements.of(page).text).split())
