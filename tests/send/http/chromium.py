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

    def __init__(self, commands: FileIO, replies: FileIO) -> None:
        self._commands, self._replies = commands, replies
        self._number, self._rest = 0, b""
        self._session: str | None = None
        (page,) = [
            one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page"
        ]
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result; an error fails the test."""
        answer = self._call_or_error(method, **parameters)
        assert "error" not in answer, answer
        return answer["result"]

    def _call_or_error(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result or error; drop the events before the answer."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            request["sessionId"] = self._session
        self._commands.write(json.dumps(request).encode() + b"\0")
        while (answer := self._read_message()).get("id") != self._number:
            pass
        return answer

    def navigate(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.wait_for("body")

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def wait_until(self, script: str) -> None:
        """Wait until an expression is true in the page."""
        end = monotonic() + _WAIT_S
        while not self._is_true(script):
            assert monotonic() < end, (script, self.evaluate("document.body.innerHTML"))
            sleep(_POLL_S)

    def _is_true(self, script: str) -> bool:
        """Return whether an expression is true; false while the page is being replaced."""
        parameters = {"expression": f"Boolean({script})", "returnByValue": True}
        answer = self._call_or_error("Runtime.evaluate", **parameters)
        if "error" in answer:  # the page was replaced before it answered
            assert answer["error"]["message"] == "Inspected target navigated or closed", answer
            return False
        return bool(answer["result"]["result"].get("value"))

    def set_scripts_enabled(self, *, on: bool) -> None:
        """Enable or disable scripts on the following pages."""
        self.call("Emulation.setScriptExecutionDisabled", value=not on)

    def send_mouse_event(self, event_type: str, at: tuple[float, float]) -> None:
        self.call(
            "Input.dispatchMouseEvent",
            type=event_type,
            x=at[0],
            y=at[1],
            button="left",
            clickCount=1,
        )

    def press_key(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=f"{key}Left")

    def wait_for(self, selector: str) -> tuple[float, float]:
        """Wait for an element, without a script in the page, and return its centre in pixels."""
        end = monotonic() + _WAIT_S
        while True:
            root = self.call("DOM.getDocument")["root"]["nodeId"]
            found = self._call_or_error("DOM.querySelector", nodeId=root, selector=selector)
            node = found.get("result", {}).get("nodeId")  # none while the page is replaced
            box = self._call_or_error("DOM.getBoxModel", nodeId=node) if node else {}
            if "result" in box:
                quad = box["result"]["model"]["border"]
                return (quad[0] + quad[4]) / 2, (quad[1] + quad[5]) / 2
            assert monotonic() < end, selector
            sleep(_POLL_S)

    def wait_until_gone(self, selector: str) -> None:
        """Wait until no element matches the selector, without a script in the page."""
        end = monotonic() + _WAIT_S
        while True:
            root = self.call("DOM.getDocument")["root"]["nodeId"]
            found = self._call_or_error("DOM.querySelector", nodeId=root, selector=selector)
            if found.get("result", {}).get("nodeId") == 0:
                return
            assert monotonic() < end, selector
            sleep(_POLL_S)

    def click(self, selector: str) -> None:
        """Click on an element."""
        at = self.wait_for(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.send_mouse_event(kind, at)

    def screenshot(self) -> bytes:
        """Return a screenshot of the page as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _read_message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = self._replies.read(1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def start_chromium(profile: Path) -> Iterator[Browser]:
    """Start Chromium with a profile folder, and stop it at the end."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed")
    browser_in, commands_fd = os.pipe()
    replies_fd, browser_out = os.pipe()
    command = [
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--remote-debugging-pipe", f"--user-data-dir={profile}", "--disable-dev-shm-usage"),
        *("--autoplay-policy=no-user-gesture-required", "about:blank"),
    ]

    process = subprocess.Popen(
        ["/bin/bash", "-c", f'exec "$@" 3<&{browser_in} 4>&{browser_out}', "chromium", *command],
        pass_fds=(browser_in, browser_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(browser_in)
    os.close(browser_out)
    with (
        os.fdopen(commands_fd, "wb", buffering=0) as commands,
        os.fdopen(replies_fd, "rb", 0) as replies,
    ):
        try:
            yield Browser(commands, replies)
        finally:
            process.terminate()
            process.wait()
