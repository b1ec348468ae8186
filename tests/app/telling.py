"""Walk once through the story of ``states``, in a Chromium with its own profile, and record what
each page shows and does.

Every name and text of the story is a random word inside markup that would run a script. The pages
are in the pseudo-language: every translatable sentence is longer and in brackets, and the pages are
laid out from right to left, like Arabic.
"""

import os
import re
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, BrowserType, Page

from entrenous.base.language import PSEUDO_LANGUAGE
from tests.app.axe import send_axe_with_each_page
from tests.app.page_walker import Walker, fetched, walked
from tests.app.presentations import PRESENTATIONS, faults_of, present
from tests.app.served import PHONE, chromium_program, is_here, served_app
from tests.app.states import Words, World, all_states, ben_at_a_relay, photograph
from tests.house.brackets import kept_names, names_of_facts, outside
from tests.real.stage import wait_until

_MARKUP: Final = "{}<img src=x onerror=hit=1 data-hit>"
_WATCH: Final = """
addEventListener("securitypolicyviolation", (broken) => console.error(
  `Content Security Policy: ${broken.violatedDirective}, line ${broken.lineNumber}`));
"""
_ELSEWHERE: Final = "/another-site"
#: Random words that the page of another site leaves in the profile.
LEFT: Final = {name: secrets.token_hex(8) for name in ("title", "body", "storage")}

#: Returns the visible text of each block, and the accessible names. Elements that declare another
#: language, such as a letter, and literal texts, such as a code, are left out.
_TEXTS: Final = """() => {
  const apart = "[lang]:not(html), code, pre, textarea, script, style, noscript, .number, .words";
  const found = new Map();
  const words = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    let block = words.currentNode.parentElement;
    if (block.closest(apart) || (block.closest("body") && !block.checkVisibility())) continue;
    while (getComputedStyle(block).display.startsWith("inline") && block.parentElement)
      block = block.parentElement;
    found.set(block, (found.get(block) || "") + words.currentNode.data);
  }
  const names = [...document.querySelectorAll("[aria-label], [alt], [title], [placeholder]")]
    .filter(one => !one.closest(apart))
    .flatMap(one => [one.ariaLabel, one.alt, one.title, one.placeholder]);
  return [...found.values(), ...names.filter(Boolean)];
}"""
#: States whose text is a lesson: lessons have files of their own in each language.
_LESSONS: Final = frozenset({"lessons", "lesson", "lesson-answered"})
#: Words that are the same in every language.
_PROGRAM: Final = ("Entrenous", "JPEG", "Page", "device 1")  # Page: the quiet title
_CHARS_IN_PLOT: Final = 25  # longer names are cut


@dataclass(frozen=True)
class Told:
    """What was recorded during the walk, and the browser's profile after it.

    ``faults`` are violated policies, script errors and requests to other origins, ``injected`` the
    states in which a typed text ran as a script, ``looks`` the faults that ``faults_of`` found in
    one of the presentations, ``untranslated`` the texts with words outside of brackets.
    """

    words: list[str]
    profile: Path
    states: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    injected: list[str] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    untranslated: list[str] = field(default_factory=list)
    directions: set[str] = field(default_factory=set)
    pictures: list[bytes] = field(default_factory=list)


def tell(browser: Browser, folder: Path) -> Told:
    """Walk through every state and check each page; at the end visit a page of another site."""
    profile, hidden = folder / "profile", {one.name: secrets.token_hex(8) for one in fields(Words)}
    words = Words(**{name: _MARKUP.format(word) for name, word in hidden.items()})
    told, kept = Told(list(hidden.values()), profile), _kept(words)
    with _world(browser, folder, words, told) as world:
        page = world.ana.page
        for state, route in walked(all_states(world), world.ana):
            told.states.append((state, route))
            _look_at(page, state, kept, told)
        with _another_site() as address:
            page.goto(address)
            page.wait_for_timeout(500)
    return told


def _kept(words: Words) -> re.Pattern[str]:
    """Return a pattern of what is never translated, such as what people typed."""
    typed = (*astuple(words), words.seen, f"{words.file}.jpg")
    shortened = (f"{one[:_CHARS_IN_PLOT]}\N{HORIZONTAL ELLIPSIS}" for one in typed)
    return kept_names((*names_of_facts(), *typed, *shortened, *_PROGRAM))


@contextmanager
def _world(browser: Browser, folder: Path, words: Words, told: Told) -> Iterator[World]:
    more = {"ENTRENOUS_LANGUAGE": PSEUDO_LANGUAGE, "TMPDIR": str(told.profile / "tmp")}
    with (
        ben_at_a_relay(folder, words) as (ben, relay),
        served_app(folder / "ana", ENTRENOUS_PAUSE="0", HOME=str(folder), **more) as app,
        _chromium_with(told.profile, browser.browser_type) as own,
    ):
        page = _watched(own, app.address, told)
        page.goto(app.link)
        ana = Walker(page, app.address, relay.url)
        yield World(ana, ben, words, photograph(folder), folder)


def _look_at(page: Page, state: str, kept: re.Pattern[str], told: Told) -> None:
    if page.evaluate("() => 'hit' in window || document.querySelector('[data-hit]')"):
        told.injected.append(state)
    told.directions.add(page.evaluate("() => getComputedStyle(document.body).direction"))
    if state not in _LESSONS:
        told.untranslated.extend(f"{state}: {text}" for text in words_outside(page, kept))
    told.pictures.extend(fetched(page, "main img"))
    told.looks.extend(f"{state}, {fault}" for fault in faults_in_presentations(page))


def faults_in_presentations(page: Page) -> list[str]:
    """Return what is wrong with the page in each presentation; the last is from right to left."""
    found = list[str]()
    for name, how in PRESENTATIONS.items():
        present(page, how)
        found += [f"{name}: {fault}" for fault in faults_of(page)]
    return found


def words_outside(page: Page, kept: re.Pattern[str]) -> list[str]:
    """Return the texts of a page that have words outside of brackets."""
    texts: list[str] = page.evaluate(_TEXTS)
    return [text.strip() for text in texts if outside(text, kept)]


class _Site(BaseHTTPRequestHandler):
    """Another site, whose page the browser may cache."""

    def do_GET(self) -> None:
        html = "<title>{title}</title><p>{body}</p><script>localStorage.it = '{storage}'</script>"
        body = html.format(**LEFT).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("cache-control", "max-age=3600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def _another_site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{_ELSEWHERE}"
        finally:
            server.shutdown()


@contextmanager
def _chromium_with(profile: Path, kind: BrowserType) -> Iterator[Browser]:
    """Run Chromium with this profile, as a person does; when it closes, it writes all data."""
    program = chromium_program(whole=True)
    (profile / "tmp").mkdir(parents=True)
    arguments = [f"--user-data-dir={profile}", "--remote-debugging-port=0", "--headless=new"]
    arguments += ["--no-sandbox", "--no-first-run", "--disable-gpu", "about:blank"]
    environment = {**os.environ, "TMPDIR": str(profile / "tmp")}
    quiet = subprocess.DEVNULL
    with subprocess.Popen([program, *arguments], stdout=quiet, stderr=quiet, env=environment) as it:
        port = profile / "DevToolsActivePort"
        assert wait_until(lambda: port.exists() and len(port.read_text().split()) == 2, 90)
        browser = kind.connect_over_cdp(f"http://127.0.0.1:{port.read_text().split()[0]}")
        try:
            yield browser
        finally:
            browser.new_browser_cdp_session().send("Browser.close")
            it.wait(90)


def _watched(browser: Browser, address: str, told: Told) -> Page:
    browser.contexts[0].set_default_timeout(90_000)
    page = browser.contexts[0].new_page()
    page.set_viewport_size(PHONE)
    page.add_init_script(_WATCH)
    send_axe_with_each_page(page)
    faults = told.faults

    def ask(url: str) -> None:
        if not is_here(url, address) and not url.endswith(_ELSEWHERE):
            faults.append(url)

    def say(text: str) -> None:
        if "Policy" in text:
            faults.append(text)

    page.on("pageerror", lambda why: faults.append(str(why)))
    page.on("dialog", lambda shown: faults.append(shown.message))
    page.on("console", lambda said: say(said.text))
    page.on("request", lambda sent: ask(sent.url))
    return page
