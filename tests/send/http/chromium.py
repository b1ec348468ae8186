"""The system's Chromium, controlled through a pipe (Chrome DevTools Protocol)."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
_WAIT_S = 60.0
_POLL_S = 0.02


class Browser:
    """One page of a running browser."""

    def __init__(self, questions: FileIO, answers: FileIO) -> None:
        self._questions, self._answers = questions, answers
        self._number, self._rest = 0, b""
        self._session: str | None = None
        (page,) = [
            one for one in self.asks("Target.getTargets")["targetInfos"] if one["type"] == "page"
        ]
        attached = self.asks("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self.asks("Page.enable")

    def asks(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result; an error fails the test."""
        heard = self._hears(method, **parameters)
        assert "error" not in heard, heard
        return heard["result"]

    def _hears(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result or error; events in between are dropped."""
        self._number += 1
        said = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            said["sessionId"] = self._session
        self._questions.write(json.dumps(said).encode() + b"\0")
        while (heard := self._message()).get("id") != self._number:
            pass
        return heard

    def goes(self, address: str) -> None:
        self.asks("Page.navigate", url=address)
        self.finds("body")

    def says(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.asks("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression is true in the page."""
        end = monotonic() + _WAIT_S
        while not self._holds(script):
            assert monotonic() < end, (script, self.says("document.body.innerHTML"))
            sleep(_POLL_S)

    def _holds(self, script: str) -> bool:
        """Return whether an expression is true; false while the page is being replaced."""
        parameters = {"expression": f"Boolean({script})", "returnByValue": True}
        heard = self._hears("Runtime.evaluate", **parameters)
        if "error" in heard:  # the page was replaced before it answered
            assert heard["error"]["message"] == "Inspected target navigated or closed", heard
            return False
        return bool(heard["result"]["result"].get("value"))

    def runs_scripts(self, *, on: bool) -> None:
        """Enable or disable scripts on the following pages."""
        self.asks("Emulation.setScriptExecutionDisabled", value=not on)

    def mouse(self, kind: str, at: tuple[float, float]) -> None:
        self.asks(
            "Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1
        )

    def key(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.asks("Input.dispatchKeyEvent", type=kind, key=key, code=f"{key}Left")

    def finds(self, selector: str) -> tuple[float, float]:
        """Wait for an element and return its centre in pixels, without a script in the page."""
        end = monotonic() + _WAIT_S
        while True:
            root = self.asks("DOM.getDocument")["root"]["nodeId"]
            found = self._hears("DOM.querySelector", nodeId=root, selector=selector)
            node = found.get("result", {}).get("nodeId")  # none while the page is replaced
            box = self._hears("DOM.getBoxModel", nodeId=node) if node else {}
            if "result" in box:
                quad = box["result"]["model"]["border"]
                return (quad[0] + quad[4]) / 2, (quad[1] + quad[5]) / 2
            assert monotonic() < end, selector
            sleep(_POLL_S)

    def loses(self, selector: str) -> None:
        """Wait until there is no such element, without a script in the page."""
        end = monotonic() + _WAIT_S
        while True:
            root = self.asks("DOM.getDocument")["root"]["nodeId"]
            found = self._hears("DOM.querySelector", nodeId=root, selector=selector)
            if found.get("result", {}).get("nodeId") == 0:
                return
            assert monotonic() < end, selector
            sleep(_POLL_S)

    def press(self, selector: str) -> None:
        """Click on an element."""
        at = self.finds(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, at)

    def picture(self) -> bytes:
        """Return a screenshot of the page as a PNG."""
        return base64.b64decode(self.asks("Page.captureScreenshot", format="png")["data"])

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = self._answers.read(1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start Chromium with a profile folder, and stop it at the end."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed")
    asked, questions = os.pipe()
    answers, answered = os.pipe()
    command = [
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--remote-debugging-pipe", f"--user-data-dir={profile}", "--disable-dev-shm-usage"),
        *("--autoplay-policy=no-user-gesture-required", "about:blank"),
    ]

    process = subprocess.Popen(
        ["/bin/bash", "-c", f'exec "$@" 3<&{asked} 4>&{answered}', "chromium", *command],
        pass_fds=(asked, answered),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(asked)
    os.close(answered)
    with os.fdopen(questions, "wb", buffering=0) as ask, os.fdopen(answers, "rb", 0) as hear:
        try:
            yield Browser(ask, hear)
        finally:
            process.terminate()
            process.wait()
