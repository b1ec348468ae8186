"""The list of all pages and their screenshots is complete, and the checks of pages find faults."""

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page

from tests.app.axe import violations
from tests.app.page_walker import gets
from tests.app.presentations import faults_of
from tests.app.screens import BYTES_MAX, FOLDER, SCHEMES, file_of, index
from tests.app.served import PHONE
from tests.app.states import NO_PAGE, STATES, WALKED_ELSEWHERE

_GOOD = """<html lang="en"><title>Page</title><main><h1>One</h1><p style="color:#333">Words</p>
<p>There is <a href="/">a page</a></p><img src="data:," alt="A cat" width="60" height="60">
<button id="b" style="padding:1em">x</button>
<label for="f">Name</label> <input id="f" style="padding:1em"></main>"""
#: Changes to that page, and the rule that axe reports for each.
_BREAKS = {
    'color:#333">Words': ('color:#bbb">Words', "color-contrast"),
    ' alt="A cat"': ("", "image-alt"),
    ">x<": ("><", "button-name"),
    '<label for="f">': ('<label for="g">', "label"),
    ' lang="en"': ("", "html-has-lang"),
    'id="b"': ('id="b" aria-pressed="often"', "aria-valid-attr-value"),
    "<h1>One</h1>": ("<h3>One</h3>", "page-has-heading-one"),
    '<a href="/">': ('<a href="/" style="text-decoration:none;color:#222">', "link-in-text-block"),
}
_BAD = """<html lang="en"><title>Page</title><main><h1>One</h1><h1>Two</h1>
<p style="color:#bbb;background:#fff">Hard to read</p><img src="data:,"><button>x</button></main>"""


def test_every_route_is_walked_or_has_a_reason() -> None:
    """For a new page, add a line to STATES and a step to its story, or a line to NO_PAGE."""
    shown = {route for route in STATES.values() if route}
    apart = NO_PAGE.keys() | WALKED_ELSEWHERE.keys()
    assert sorted(gets().keys() - shown - apart) == []
    assert sorted(apart & shown) == []
    assert sorted(apart - gets().keys()) == []
    for name in set(WALKED_ELSEWHERE.values()):
        assert "for_everybody(" in (Path(__file__).parent / name).read_text()


@pytest.mark.real
@pytest.mark.slow
def test_faults_would_be_found(browser: Browser) -> None:
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        page.set_content(_BAD)
        found = " ".join(faults_of(page))
    for fault in ("color-contrast", "image-alt", "2 h1", "button"):
        assert fault in found


@pytest.mark.real
@pytest.mark.slow
def test_a_page_that_was_clean_is_looked_at_again_after_any_change(browser: Browser) -> None:
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        assert _violations_of(page, _GOOD) == []
        assert _violations_of(page, _GOOD.replace("Words", "Other words")) == []
        assert not page.evaluate("() => 'axe' in window")  # so axe did not run
        for was, (now, rule) in _BREAKS.items():
            assert rule in " ".join(_violations_of(page, _GOOD.replace(was, now))), rule


def _violations_of(page: Page, html: str) -> list[str]:
    page.goto(f"data:text/html,{quote(html)}")
    return violations(page)


def test_the_screens_are_those_of_today() -> None:
    drawn = {file.name for file in FOLDER.glob("*.webp")}
    assert drawn == {file_of(state, scheme) for state in STATES for scheme in SCHEMES}
    assert (FOLDER / "README.md").read_text() == index()
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < BYTES_MAX
