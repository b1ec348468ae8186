"""The system's Chromium, told what to do through a pipe (Chrome DevTools Protocol)."""

import base64
import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Self

import pytest

CHROMIUM = "/usr/bin/chromium"
_WAIT_S = 30.0


class Browser:
    """One page of one browser, with a profile of its own."""

    def __init__(self, questions: int, answers: int) -> None:
        self._questions, self._answers = questions, os.fdopen(answers, "rb", buffering=0)
        self._number, self._rest = 0, b""
        self._session: str | None = None
        (page,) = [
            one for one in self.asks("Target.getTargets")["targetInfos"] if one["type"] == "page"
        ]
        attached = self.asks("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self.asks("Page.enable")

    def asks(self, method: str, **parameters: Any) -> Any:
        """What the browser answers to a command; events meanwhile are dropped."""
        self._number += 1
        said = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            said["sessionId"] = self._session
        os.write(self._questions, json.dumps(said).encode() + b"\0")
        while (heard := self._message()).get("id") != self._number:
            pass
        assert "error" not in heard, heard
        return heard["result"]

    def goes(self, address: str) -> None:
        self.asks("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def says(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.asks("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression holds in the page."""
        end = monotonic() + _WAIT_S
        while not self.says(f"Boolean({script})"):
            assert monotonic() < end, (script, self.says("document.body.innerHTML"))

    def mouse(self, kind: str, at: tuple[float, float]) -> None:
        self.asks(
            "Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1
        )

    def key(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.asks("Input.dispatchKeyEvent", type=kind, key=key, code=f"{key}Left")

    def picture(self) -> bytes:
        """What can be seen of the page, as a PNG."""
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
def chromium(profile: Path, *, script: bool = True) -> Iterator[Browser]:
    """A running Chromium with a new profile; without ``script`` its pages run none."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed")
    asked, questions = os.pipe()
    answers, answered = os.pipe()
    command = [
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--remote-debugging-pipe", f"--user-data-dir={profile}", "--disable-dev-shm-usage"),
        *("--autoplay-policy=no-user-gesture-required", "about:blank"),
    ]

    def place_pipes() -> None:
        high = [fcntl.fcntl(one, fcntl.F_DUPFD, 64) for one in (asked, answered)]
        for place, one in enumerate(high, start=3):
            os.dup2(one, place)

    process = subprocess.Popen(
        command,
        preexec_fn=place_pipes,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(asked)
    os.close(answered)
    try:
        browser = Browser(questions, answers)
        browser.asks("Emulation.setScriptExecutionDisabled", value=not script)
        yield browser
        browser.asks("Browser.close") if script else process.terminate()
    finally:
        os.close(questions)
        process.terminate()
        process.wait()
