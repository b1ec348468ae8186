"""An organisation notes its mandatory reports, and a person chooses which places a letter names."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.app.client import open_client
from tests.app.presentations import assert_accessible
from tests.app.served import open_page, run_app
from tests.app.test_poisoned_files import open_case
from tests.app.walker import (
    MODE_PARAMETERS,
    Mode,
    Walker,
    open_case_at_once,
    set_up_at_once,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]


@MODE_PARAMETERS
def test_letter_names_ticked_places_and_organisation_notes_its_reports(
    browser: Browser, tmp_path: Path, mode: Mode
) -> None:
    with (
        run_app(tmp_path / "device") as app,
        open_page(browser, app.link, script=mode != "no-script") as page,
    ):
        set_up_at_once(page)
        open_case_at_once(page)
        ana = Walker(page, mode)
        _check_letter_names_ticked_places(ana)
        ana.press("Back to the case", "link")
        _note_reports_of_organisation(ana)


def _check_letter_names_ticked_places(ana: Walker) -> None:
    ana.press("Add a place", "link")
    ana.fill("The address, or the chat", "www.instagram.com/p/456")
    ana.press_exactly("Keep it")
    ana.press("Write to")
    letter = ana.page.get_by_role("region")
    assert "/p/123" in letter.inner_text()
    assert "/p/456" in letter.inner_text()
    ana.unfold("Which places it names")
    ana.untick("1. https://www.instagram.com/p/123")
    ana.press("Write it with these places")
    assert "/p/123" not in letter.inner_text()
    assert "/p/456" in letter.inner_text()


def _note_reports_of_organisation(ana: Walker) -> None:
    page = ana.page
    ana.press("Say more about it", "link")
    ana.press("Our own systems let it out", "link")
    ana.press("Show me the deadlines")
    assert page.get_by_role("alert").get_by_text("no law for this place").is_visible()
    assert page.get_by_text("entrenous case").count() == 0
    ana.press("Say which country it is in", "link")
    page.get_by_label("Which country do you live in?").fill("Germany")
    ana.press_exactly("Keep it")
    ana.press("Say more about it", "link")
    ana.press("Our own systems let it out", "link")
    assert_accessible(page)
    ana.press("Show me the deadlines")
    assert page.get_by_text("You became aware of it on").is_visible()
    assert_accessible(page)
    ana.press("Back to the case", "link")
    ana.press("What has to be reported", "link")
    ana.press("We told the authority")
    assert page.get_by_text("The authority was notified on").is_visible()
    ana.press("We told the people concerned")
    assert page.get_by_text("The people concerned were told on").is_visible()


def test_letter_that_needs_a_page_names_a_chat_only_if_it_is_chosen(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        case = open_case(ana)
        ana.post(f"/86/{case}", {"kind": "chat", "where": "the class group"})
        route = {"route": "us-tida-removal"}
        ana.post(f"/89/{case}", {"place": "US"})
        refused = ana.post(f"/84/{case}", route)
        assert refused.status_code == 409
        assert "1. <bdi>the class group</bdi>" in refused.text
        written = ana.post(f"/84/{case}", {**route, "sighting": "1"})
        assert written.url.path == f"/85/{case}/1"
        assert "the class group" in written.text
