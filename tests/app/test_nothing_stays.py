"""A whole story in a Chromium with a profile of its own: what strangers write runs nowhere, nothing
goes elsewhere, and nothing of it is in the profile afterwards.

Every name and text of the story is a random word inside of markup that would run a script.
"""

import os
import secrets
import shutil
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserType, Page

from tests.app.page_walker import Walker, walked
from tests.app.served import PHONE, is_here, served_app
from tests.app.states import STATES, Words, World, all_states, ben_at_a_relay, photograph
from tests.real.stage import wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

_MARKUP: Final = "{}<img src=x onerror=hit=1 data-hit>"
_WATCH: Final = """
addEventListener("securitypolicyviolation", (broken) => console.error(
  `Content Security Policy: ${broken.violatedDirective}, line ${broken.lineNumber}`));
"""
_COMPRESSED: Final = {b"\x1f\x8b\x08": 31, b"\x78\x9c": 15, b"\x78\xda": 15, b"\x78\x01": 15}
ELSEWHERE: Final = "/another-site"
_PIECE: Final = 24  # bytes of a picture that are searched for


@dataclass(frozen=True)
class Told:
    """What was seen while the story was told, and the profile after it."""

    walked: list[str]
    faults: list[str]
    injected: list[str]
    pictures: list[bytes]
    words: list[str]
    profile: Path


@pytest.fixture(scope="module")
def told(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("story")
    profile, hidden = folder / "profile", {one.name: secrets.token_hex(8) for one in fields(Words)}
    words = Words(**{name: _MARKUP.format(word) for name, word in hidden.items()})
    found = Told([], [], [], [], list(hidden.values()), profile)
    with (
        ben_at_a_relay(folder, words) as (ben, relay),
        served_app(folder / "ana", ENTRENOUS_PAUSE="0", TMPDIR=str(profile / "tmp")) as app,
        _chromium_with(profile, browser.browser_type) as own,
    ):
        page = _watched(own, app.address, found)
        page.goto(app.link)
        ana = Walker(page, app.address, relay.url)
        world = World(ana, ben, words, photograph(folder), folder)
        for state, _ in walked(all_states(world), ana):
            found.walked.append(state)
            if page.evaluate("() => 'hit' in window || document.querySelector('[data-hit]')"):
                found.injected.append(state)
            found.pictures.extend(_pictures_on(page))
        with _another_site() as address:
            page.goto(address)
            page.wait_for_timeout(500)
    return found


@pytest.mark.threat("page-stored-script")
def test_what_strangers_write_is_text_alone(told: Told) -> None:
    assert told.walked == list(STATES)
    assert told.injected == []


@pytest.mark.threat("page-stored-script")
def test_no_policy_is_broken_and_nothing_goes_elsewhere(told: Told) -> None:
    assert told.faults == []


@pytest.mark.threat("page-kept-by-browser")
def test_the_browsers_profile_has_nothing_of_it(told: Told) -> None:
    data = list(_all_of(told.profile))
    pieces = {piece for picture in told.pictures for piece in _pieces(picture)}
    assert len(pieces) > 12
    found = [
        (name, needle)
        for name, text in data
        for needle in [*_forms_of(told.words), *pieces]
        if needle in text
    ]
    assert found == []
    titles = [name for name, text in data if b"History" in name.encode() and b"Page" in text]
    assert titles, "the history was written, and has the neutral title"


def test_the_search_finds_what_another_site_leaves(told: Told) -> None:
    """Else it would prove nothing that nothing was found."""
    places = {name for name, text in _all_of(told.profile) if _LEFT["title"].encode() in text}
    assert any("History" in place for place in places)
    texts = [text for _, text in _all_of(told.profile)]
    kept = {key for key, left in _LEFT.items() if any(left.encode() in text for text in texts)}
    assert kept >= {"title", "body", "storage"}


_LEFT: Final = {name: secrets.token_hex(8) for name in ("title", "body", "storage")}


class _Site(BaseHTTPRequestHandler):
    """Another site, which lets itself be stored."""

    def do_GET(self) -> None:
        html = "<title>{title}</title><p>{body}</p><script>localStorage.it = '{storage}'</script>"
        body = html.format(**_LEFT).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("cache-control", "max-age=3600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _another_site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{ELSEWHERE}"
        finally:
            server.shutdown()


@contextmanager
def _chromium_with(profile: Path, kind: BrowserType) -> Iterator[Browser]:
    """Run Chromium as a person does, with this profile; at the end it closes and writes all."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs Debian's chromium")
    (profile / "tmp").mkdir(parents=True)
    arguments = [f"--user-data-dir={profile}", "--remote-debugging-port=0", "--headless=new"]
    arguments += ["--no-sandbox", "--no-first-run", "--disable-gpu", "about:blank"]
    environment = {**os.environ, "TMPDIR": str(profile / "tmp")}
    quiet = subprocess.DEVNULL
    with subprocess.Popen([program, *arguments], stdout=quiet, stderr=quiet, env=environment) as it:
        port = profile / "DevToolsActivePort"
        assert wait_until(lambda: port.exists() and len(port.read_text().split()) == 2, 30)
        browser = kind.connect_over_cdp(f"http://127.0.0.1:{port.read_text().split()[0]}")
        yield browser
        browser.new_browser_cdp_session().send("Browser.close")
        it.wait(20)


def _watched(browser: Browser, address: str, told: Told) -> Page:
    page = browser.contexts[0].new_page()
    page.set_viewport_size(PHONE)
    page.add_init_script(_WATCH)
    faults = told.faults

    def ask(url: str) -> None:
        if not is_here(url, address) and not url.endswith(ELSEWHERE):
            faults.append(url)

    def say(text: str) -> None:
        if "Policy" in text:
            faults.append(text)

    page.on("pageerror", lambda why: faults.append(str(why)))
    page.on("dialog", lambda shown: faults.append(shown.message))
    page.on("console", lambda said: say(said.text))
    page.on("request", lambda sent: ask(sent.url))
    return page


def _pictures_on(page: Page) -> list[bytes]:
    found = page.evaluate(
        """async () => Promise.all([...document.querySelectorAll("main img")].map(async (image) =>
          [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]))"""
    )
    return [bytes(one) for one in found]


def _pieces(picture: bytes) -> Iterator[bytes]:
    """Parts of a picture from its pixels, where no two pictures are the same."""
    for at in range(len(picture) // 3, len(picture) - _PIECE, max(1, len(picture) // 4)):
        piece = picture[at : at + _PIECE]
        if len(set(piece)) > _PIECE // 2:
            yield piece


def _forms_of(words: list[str]) -> list[bytes]:
    return [word.encode(coding) for word in words for coding in ("utf-8", "utf-16-le", "utf-16-be")]


def _all_of(profile: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the profile with its name, and once more what in it is compressed."""
    for file in sorted(profile.rglob("*")):
        if file.is_file():
            text = file.read_bytes()
            yield str(file.relative_to(profile)), text
            yield str(file.relative_to(profile)), file.name.encode()
            yield str(file.relative_to(profile)), b"".join(_inflated(text))


def _inflated(text: bytes) -> Iterator[bytes]:
    """What of a file is gzip or zlib; our own pages are sent as they are."""
    for start, bits in _COMPRESSED.items():
        at = text.find(start)
        while at >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj(bits).decompress(text[at:], 1 << 24)
            at = text.find(start, at + 1)
