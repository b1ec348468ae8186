"""The lists of pages and of screenshots are complete, and the checks of pages find faults."""

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page

from tests.app.axe import violations
from tests.app.page_walker import get_paths_by_route
from tests.app.presentations import accessibility_faults
from tests.app.screens import (
    COLOUR_SCHEMES,
    SCREENSHOTS_BYTES_MAX,
    SCREENSHOTS_FOLDER,
    readme_text,
    screenshot_name,
)
from tests.app.served import PHONE
from tests.app.states import CHECKED_ELSEWHERE, NO_PAGE, STATES

_ACCESSIBLE_PAGE = """<html lang="en"><title>Page</title><main>
<h1>One</h1><p style="color:#333">Words</p>
<p>There is <a href="/">a page</a></p><img src="data:," alt="A cat" width="60" height="60">
<button id="b" style="padding:1em">x</button>
<label for="f">Name</label> <input id="f" style="padding:1em"></main>"""
#: Changes to ``_ACCESSIBLE_PAGE``, and the rule that axe reports for each change.
_CHANGES_AND_RULES = {
    'color:#333">Words': ('color:#bbb">Words', "color-contrast"),
    ' alt="A cat"': ("", "image-alt"),
    ">x<": ("><", "button-name"),
    '<label for="f">': ('<label for="g">', "label"),
    ' lang="en"': ("", "html-has-lang"),
    'id="b"': ('id="b" aria-pressed="often"', "aria-valid-attr-value"),
    "<h1>One</h1>": ("<h3>One</h3>", "page-has-heading-one"),
    '<a href="/">': ('<a href="/" style="text-decoration:none;color:#222">', "link-in-text-block"),
}
_FAULTY_PAGE = """<html lang="en"><title>Page</title><main><h1>One</h1><h1>Two</h1>
<p style="color:#bbb;background:#fff">Hard to read</p><img src="data:,"><button>x</button></main>"""


def test_every_page_is_in_the_story_or_checked_elsewhere_or_excepted() -> None:
    """For a new page, add a line to STATES and a step to the story, or a line to NO_PAGE or to
    CHECKED_ELSEWHERE.
    """
    shown = {route for route in STATES.values() if route}
    apart = NO_PAGE.keys() | CHECKED_ELSEWHERE.keys()
    assert sorted(get_paths_by_route().keys() - shown - apart) == []
    assert sorted(apart & shown) == []
    assert sorted(apart - get_paths_by_route().keys()) == []
    for name in set(CHECKED_ELSEWHERE.values()):
        assert "assert_accessible(" in (Path(__file__).parent / name).read_text()


@pytest.mark.real
@pytest.mark.slow
def test_checks_find_the_faults_of_a_faulty_page(browser: Browser) -> None:
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        page.set_content(_FAULTY_PAGE)
        found = " ".join(accessibility_faults(page))
    for fault in ("color-contrast", "image-alt", "2 h1", "button"):
        assert fault in found


@pytest.mark.real
@pytest.mark.slow
def test_axe_runs_again_after_faulty_changes_and_not_after_other_words(browser: Browser) -> None:
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        assert _violations_in(page, _ACCESSIBLE_PAGE) == []
        assert _violations_in(page, _ACCESSIBLE_PAGE.replace("Words", "Other words")) == []
        assert not page.evaluate("() => 'axe' in window")  # axe did not run
        for was, (now, rule) in _CHANGES_AND_RULES.items():
            assert rule in " ".join(_violations_in(page, _ACCESSIBLE_PAGE.replace(was, now))), rule


def _violations_in(page: Page, html: str) -> list[str]:
    page.goto(f"data:text/html,{quote(html)}")
    return violations(page)


def test_screenshots_and_their_list_are_complete_and_small() -> None:
    drawn = {file.name for file in SCREENSHOTS_FOLDER.glob("*.webp")}
    assert drawn == {
        screenshot_name(state, scheme) for state in STATES for scheme in COLOUR_SCHEMES
    }
    assert (SCREENSHOTS_FOLDER / "README.md").read_text() == readme_text()
    assert sum(file.stat().st_size for file in SCREENSHOTS_FOLDER.iterdir()) < SCREENSHOTS_BYTES_MAX
