"""Run the real app and the system's Chromium, and open the app's pages as a person does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlsplit
from weakref import WeakSet

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.app.axe import violations
from tests.ready import start_program
from tests.sizes import NIGHTLY

PASSPHRASE = "lunar pepper goat window tulip"
PHONE: ViewportSize = {"width": 390, "height": 844}
#: Chromium simulates a microphone and a camera, and pages may use them.
_CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
PAGES_WITHOUT_SCRIPT = WeakSet[Page]()
#: A timeout in seconds that is long enough on a busy machine.
TIMEOUT_S = 90
expect.set_options(timeout=TIMEOUT_S * 1000)


@dataclass(frozen=True)
class RunningApp:
    """A running app. ``link`` is its one-time link, and ``address`` is its origin."""

    link: str
    home: Path
    process: "subprocess.Popen[str]"

    @property
    def address(self) -> str:
        return self.link.partition("/enter/")[0]


@contextmanager
def run_app(
    home: Path, command_prefix: tuple[str, ...] = (), **settings: str
) -> Iterator[RunningApp]:
    """Run ``entrenous app`` for a device in ``home``; ``command_prefix`` precedes the command."""
    with run_app_program(
        [*command_prefix, sys.executable, "-m", "entrenous"], home, **settings
    ) as app:
        yield app


@contextmanager
def run_app_program(program: list[str], home: Path, **settings: str) -> Iterator[RunningApp]:
    """Use ``program`` to run the app for a device in ``home``; fail if it prints a traceback."""
    defaults = {"ENTRENOUS_HOME": str(home), "ENTRENOUS_UNDO": "10"}
    environment = {**os.environ, **defaults, **settings}
    command = [*program, "app", "--no-browser", "--json"]
    with (
        TemporaryFile("w+") as errors,
        start_program(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        ) as process,
    ):
        assert process.stdout is not None
        answer = json.loads(process.stdout.readline())
        assert answer["schema"] == "entrenous/app/1"
        try:
            yield RunningApp(answer["url"], home, process)
        finally:
            process.terminate()
            assert process.wait(TIMEOUT_S) == 0
        errors.seek(0)
        assert "Traceback" not in (printed := errors.read()), printed


def chromium_program(*, whole: bool = NIGHTLY) -> str:
    """Return the path of the system's Chromium; skip the test if there is none.

    Unless ``whole`` is set, prefer the headless shell, because it takes less processor time.
    """
    shell = None if whole else shutil.which("chromium-headless-shell")
    return shell or shutil.which("chromium") or pytest.skip("needs Debian's chromium")


@contextmanager
def run_chromium(*, whole: bool = NIGHTLY) -> Iterator[Browser]:
    """Run the system's Chromium, or its headless shell."""
    program = chromium_program(whole=whole)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_CHROMIUM_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(
    browser: Browser, link: str, *, script: bool = True, after: Page | None = None
) -> Iterator[Page]:
    """Open the link in a phone-sized window; fail if a page breaks its security policy, has an
    error in a script, or requests anything from another origin.

    The link of ``RunningApp`` works only once. If ``after`` is a page of the same app, the new
    window gets the cookies of that page, and ``link`` may be any address of the app.
    """
    with browser.new_context(viewport=PHONE, java_script_enabled=script) as context:
        if after is not None:
            context.add_cookies(after.context.cookies())  # type: ignore[arg-type] - as they were given
        context.set_default_timeout(TIMEOUT_S * 1000)
        page = context.new_page()
        faults: list[str] = []
        address = f"http://{urlsplit(link).netloc}"
        page.on("console", lambda shown: faults.extend(_policy_violations(shown.text)))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda asked: None if is_same_origin(asked.url, address) else faults.append(asked.url),
        )
        page.goto(link)
        if not script:
            PAGES_WITHOUT_SCRIPT.add(page)
        yield page
        assert faults == [], faults


def set_up(page: Page, name: str = "Ana", relay: str | None = None) -> None:
    """Set the device up through the app's pages, as a person does."""
    page.get_by_role("link", name="Set up this device").click()
    page.get_by_label("Your name, as people will see it").fill(name)
    page.get_by_label("A passphrase that only you know").fill(PASSPHRASE)
    page.get_by_label("Repeat the passphrase").fill(PASSPHRASE)
    if relay is not None:
        page.get_by_label("With this app: I have a link, or the address of a relay").check()
        page.get_by_label("Paste their invite link, or the address of a relay").fill(relay)
    page.get_by_role("button", name="Set up").click()
    page.get_by_role("heading", name="What would you like to do?").wait_for()


def unlock(page: Page) -> None:
    page.get_by_label("Your passphrase").fill(PASSPHRASE)
    page.get_by_role("button", name="Unlock").click()


def _policy_violations(text: str) -> list[str]:
    policies = ("Content Security Policy", "Permissions policy")
    return [text] if any(policy in text for policy in policies) else []


def is_same_origin(url: str, address: str) -> bool:
    return url.startswith((f"{address}/", "blob:", "about:"))


def assert_no_violations(page: Page) -> None:
    """Fail if axe finds anything on the page. Without script, axe cannot run, so skip the page."""
    if page in PAGES_WITHOUT_SCRIPT:
        return
    found = violations(page)
    assert found == [], found


def text_of_pdf(pdf: bytes) -> str:
    answer = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True)
    return " ".join(answer.stdout.decode().split())
