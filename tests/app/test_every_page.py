"""Every page in every state, in five presentations: axe finds nothing, and everything fits."""

import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.app.page_walker import gets, walked
from tests.app.presentations import PRESENTATIONS, faults_of, present
from tests.app.screens import BYTES_MAX, FOLDER, SCHEMES, file_of, index
from tests.app.served import PHONE
from tests.app.states import NO_PAGE, STATES, WALKED_ELSEWHERE, a_world, all_states

_BAD = """<html lang="en"><title>Page</title><main><h1>One</h1><h1>Two</h1>
<p style="color:#bbb;background:#fff">Hard to read</p><img src="data:,"><button>x</button></main>"""


def test_every_route_is_walked_or_has_a_reason() -> None:
    """A new page needs a line in STATES (and a step in its story), or in NO_PAGE."""
    shown = {route for route in STATES.values() if route}
    apart = NO_PAGE.keys() | WALKED_ELSEWHERE.keys()
    assert sorted(gets().keys() - shown - apart) == []
    assert sorted(apart & shown) == []
    assert sorted(apart - gets().keys()) == []
    for name in set(WALKED_ELSEWHERE.values()):
        assert "for_everybody(" in (Path(__file__).parent / name).read_text()


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_state_is_for_everybody_in_five_presentations(
    browser: Browser, tmp_path: Path
) -> None:
    faults, seen = list[str](), list[tuple[str, str]]()
    with a_world(browser, tmp_path) as world:
        page = world.ana.page
        for state, route in walked(all_states(world), world.ana):
            seen.append((state, route))
            for name, how in PRESENTATIONS.items():
                present(page, how)
                faults += [f"{state}, {name}: {fault}" for fault in faults_of(page)]
            present(page, PRESENTATIONS["light"])
    assert not faults, "\n".join(faults)
    assert seen == list(STATES.items())
    sys.stdout.write(f"{len(seen)} page states in {len(PRESENTATIONS)} presentations: axe 0\n")


@pytest.mark.real
@pytest.mark.slow
def test_faults_would_be_found(browser: Browser) -> None:
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        page.set_content(_BAD)
        found = " ".join(faults_of(page))
    for fault in ("color-contrast", "image-alt", "2 h1", "button"):
        assert fault in found


def test_the_screens_are_those_of_today() -> None:
    drawn = {file.name for file in FOLDER.glob("*.webp")}
    assert drawn == {file_of(state, scheme) for state in STATES for scheme in SCHEMES}
    assert (FOLDER / "README.md").read_text() == index()
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < BYTES_MAX
