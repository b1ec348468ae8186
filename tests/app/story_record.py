"""Walk once through the story of ``states``, in a Chromium with a new profile, and record what
each page shows and does.

Every name and text that is typed is a random word and markup that would run a script. The pages are
in the pseudo-language: every translatable sentence is in brackets and longer than in English, and
the pages are laid out from right to left, like Arabic.
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
from tests.app.page_walker import RouteWalker, fetch_targets, visit_states
from tests.app.presentations import PRESENTATIONS, accessibility_faults, apply_presentation
from tests.app.served import PHONE, chromium_program, is_same_origin, run_app
from tests.app.states import Story, TypedTexts, all_states, create_relay_and_ben, save_photograph
from tests.house.brackets import (
    names_of_shipped_facts,
    untranslated_text_pattern,
    words_outside_brackets,
)
from tests.real.processes import wait_until

_INJECTED_MARKUP: Final = "{}<img src=x onerror=hit=1 data-hit>"
_REPORT_VIOLATIONS: Final = """
addEventListener("securitypolicyviolation", (broken) => console.error(
  `Content Security Policy: ${broken.violatedDirective}, line ${broken.lineNumber}`));
"""
_OTHER_SITE_PATH: Final = "/another-site"
#: Random words that the page of another site leaves in the profile.
LEFT_BY_OTHER_SITE: Final = {name: secrets.token_hex(8) for name in ("title", "body", "storage")}

#: Returns the visible text of each block, and the accessible names. Elements that declare another
#: language, such as a letter, and literal texts, such as a code, are left out.
_READ_TEXTS: Final = """() => {
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
_LESSON_STATES: Final = frozenset({"lessons", "lesson", "lesson-answered"})
#: Words that are the same in every language. "Page" is the default title of the app's pages.
_UNTRANSLATED_WORDS: Final = (
    "Entrenous",
    "JPEG",
    "Page",
    "device 1",
)
_PLOT_NAME_CHARS_MAX: Final = 25  # the plot of a verdict cuts longer names to this length


@dataclass(frozen=True)
class StoryRecord:
    """What was recorded during the walk, and the browser's profile after the walk.

    ``faults`` lists violations of policies, script errors, dialogs and requests to other origins.
    ``injected_states`` lists the states in which the markup of a typed text became an element or
    ran as a script. ``untranslated`` lists the texts with words outside of brackets.
    """

    random_words: list[str]
    profile: Path
    states: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    injected_states: list[str] = field(default_factory=list)
    accessibility_faults: list[str] = field(default_factory=list)
    untranslated: list[str] = field(default_factory=list)
    directions: set[str] = field(default_factory=set)
    pictures: list[bytes] = field(default_factory=list)


def record_story(browser: Browser, folder: Path) -> StoryRecord:
    """Walk through every state and check each page; at the end visit a page of another site."""
    random_words = {one.name: secrets.token_hex(8) for one in fields(TypedTexts)}
    texts = TypedTexts(
        **{name: _INJECTED_MARKUP.format(word) for name, word in random_words.items()}
    )
    record = StoryRecord(list(random_words.values()), folder / "profile")
    untranslated_pattern = _untranslated_pattern(texts)
    with _open_story(browser, folder, texts, record) as story:
        page = story.ana.page
        for state, route in visit_states(all_states(story), story.ana):
            record.states.append((state, route))
            _record_state(page, state, untranslated_pattern, record)
        with _run_other_site() as address:
            page.goto(address)
            page.wait_for_timeout(500)
    return record


def _untranslated_pattern(texts: TypedTexts) -> re.Pattern[str]:
    """Return a pattern of all texts that are never translated, such as typed texts."""
    typed = (*astuple(texts), texts.leak_url, f"{texts.leak_file_name}.jpg")
    shortened = (f"{one[:_PLOT_NAME_CHARS_MAX]}\N{HORIZONTAL ELLIPSIS}" for one in typed)
    return untranslated_text_pattern(
        (*names_of_shipped_facts(), *typed, *shortened, *_UNTRANSLATED_WORDS)
    )


@contextmanager
def _open_story(
    browser: Browser, folder: Path, texts: TypedTexts, record: StoryRecord
) -> Iterator[Story]:
    settings = {"ENTRENOUS_LANGUAGE": PSEUDO_LANGUAGE, "TMPDIR": str(record.profile / "tmp")}
    with (
        create_relay_and_ben(folder, texts) as (ben, relay),
        run_app(folder / "ana", ENTRENOUS_PAUSE="0", HOME=str(folder), **settings) as app,
        _run_chromium_with_profile(record.profile, browser.browser_type) as run_chromium,
    ):
        page = _open_monitored_page(run_chromium, app.address, record)
        page.goto(app.link)
        ana = RouteWalker(page, app.address, relay.url)
        yield Story(ana, ben, texts, save_photograph(folder), folder)


def _record_state(
    page: Page, state: str, untranslated_pattern: re.Pattern[str], record: StoryRecord
) -> None:
    if page.evaluate("() => 'hit' in window || document.querySelector('[data-hit]')"):
        record.injected_states.append(state)
    record.directions.add(page.evaluate("() => getComputedStyle(document.body).direction"))
    if state not in _LESSON_STATES:
        record.untranslated.extend(
            f"{state}: {text}" for text in texts_outside_brackets(page, untranslated_pattern)
        )
    record.pictures.extend(fetch_targets(page, "main img"))
    record.accessibility_faults.extend(
        f"{state}, {fault}" for fault in faults_in_all_presentations(page)
    )


def faults_in_all_presentations(page: Page) -> list[str]:
    """Return the page's faults in each presentation; leave the page in the last of them."""
    found = list[str]()
    for name, presentation in PRESENTATIONS.items():
        apply_presentation(page, presentation)
        found += [f"{name}: {fault}" for fault in accessibility_faults(page)]
    return found


def texts_outside_brackets(page: Page, untranslated_pattern: re.Pattern[str]) -> list[str]:
    """Return the texts of a page that have words outside of brackets."""
    texts: list[str] = page.evaluate(_READ_TEXTS)
    return [text.strip() for text in texts if words_outside_brackets(text, untranslated_pattern)]


class _OtherSite(BaseHTTPRequestHandler):
    """Another site, whose page the browser may cache."""

    def do_GET(self) -> None:
        html = "<title>{title}</title><p>{body}</p><script>localStorage.it = '{storage}'</script>"
        body = html.format(**LEFT_BY_OTHER_SITE).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("cache-control", "max-age=3600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Do not print the line that the server would print for each request."""


@contextmanager
def _run_other_site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _OtherSite) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{_OTHER_SITE_PATH}"
        finally:
            server.shutdown()


@contextmanager
def _run_chromium_with_profile(profile: Path, browser_type: BrowserType) -> Iterator[Browser]:
    """Run Chromium with this profile, and let the browser close by itself at the end."""
    program = chromium_program(whole=True)
    (profile / "tmp").mkdir(parents=True)
    arguments = [f"--user-data-dir={profile}", "--remote-debugging-port=0", "--headless=new"]
    arguments += ["--no-sandbox", "--no-first-run", "--disable-gpu", "about:blank"]
    environment = {**os.environ, "TMPDIR": str(profile / "tmp")}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        [program, *arguments], stdout=quiet, stderr=quiet, env=environment
    ) as process:
        port = profile / "DevToolsActivePort"
        assert wait_until(lambda: port.exists() and len(port.read_text().split()) == 2, 90)
        address = f"http://127.0.0.1:{port.read_text().split()[0]}"
        browser = browser_type.connect_over_cdp(address)
        try:
            yield browser
        finally:
            browser.new_browser_cdp_session().send("Browser.close")
            process.wait(90)


def _open_monitored_page(browser: Browser, address: str, record: StoryRecord) -> Page:
    browser.contexts[0].set_default_timeout(90_000)
    page = browser.contexts[0].new_page()
    page.set_viewport_size(PHONE)
    page.add_init_script(_REPORT_VIOLATIONS)
    send_axe_with_each_page(page)
    faults = record.faults

    def record_request(url: str) -> None:
        if not is_same_origin(url, address) and not url.endswith(_OTHER_SITE_PATH):
            faults.append(url)

    def record_console(text: str) -> None:
        if "Policy" in text:
            faults.append(text)

    page.on("pageerror", lambda why: faults.append(str(why)))
    page.on("dialog", lambda shown: faults.append(shown.message))
    page.on("console", lambda message: record_console(message.text))
    page.on("request", lambda sent: record_request(sent.url))
    return page
