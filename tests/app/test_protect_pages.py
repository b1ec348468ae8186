"""Tests of the pages on which a picture is registered at a platform's gate and withdrawn. If
somebody in the picture may be under 18, a page names Take It Down.
"""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from skimage import data

from tests.app.presentations import assert_accessible
from tests.app.served import open_page, run_app
from tests.app.walker import set_up_at_once
from tests.real.processes import Server

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.parametrize(
    "script",
    [True, pytest.param(False, marks=pytest.mark.nightly)],
    ids=["script", "no-script"],
)
def test_a_found_picture_is_registered_and_withdrawn(
    *, script: bool, browser: Browser, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    Image.fromarray(data.astronaut()).resize((700, 700)).save(photo, quality=92)
    gate = Server(tmp_path / "gate", ("gate", "run"))
    gate.start()
    try:
        with (
            run_app(tmp_path / "device") as app,
            open_page(browser, app.link, script=script) as page,
        ):
            set_up_at_once(page)
            _trace_photo(page, photo)
            page.get_by_role("link", name="Ask a platform to stop it").click()
            page.get_by_role("heading", name="Ask a platform to stop it").wait_for()
            assert_accessible(page)
            page.get_by_role("button", name="Yes, everybody").click()
            page.get_by_text("Only fingerprints leave this device, never the picture.").wait_for()
            assert page.get_by_text("--whole-only").count() == 0
            assert_accessible(page)
            page.get_by_label("Address of the platform's gate").fill("gate.example")
            page.get_by_role("button", name="Send the fingerprints").click()
            page.get_by_role("alert").wait_for()
            assert (
                page.get_by_label("Address of the platform's gate").input_value() == "gate.example"
            )
            page.get_by_label("Address of the platform's gate").fill(gate.url)
            page.get_by_role("button", name="Send the fingerprints").click()
            page.get_by_role("heading", name="It is registered").wait_for(timeout=60_000)
            assert_accessible(page)
            page.get_by_role("link", name="What you registered").click()
            page.get_by_text("picture · waiting").wait_for()
            assert_accessible(page)
            page.get_by_role("button", name="Ask the platforms for news").click()
            page.get_by_role("heading", name="What you registered").wait_for(timeout=60_000)
            page.get_by_role("button", name="Withdraw it at").click()
            page.get_by_text("It is withdrawn.").wait_for(timeout=60_000)
            page.get_by_text("picture · withdrawn").wait_for()
            assert_accessible(page)
    finally:
        gate.stop()


def _trace_photo(page: Page, photo: Path) -> None:
    page.get_by_role("link", name="I found something of mine").click()
    page.get_by_label("Pictures, clips or recordings that you found").set_input_files(photo)
    page.get_by_role("button", name="Find out whose copy it is").click()
    page.get_by_role("heading", name="What was found").wait_for(timeout=60_000)
    assert_accessible(page)


def test_picture_of_somebody_maybe_under_18_leads_to_take_it_down(
    browser: Browser, tmp_path: Path
) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        set_up_at_once(page)
        page.get_by_role("link", name="I found something of mine").click()
        page.get_by_role("link", name="Ask a platform to stop something").click()
        page.get_by_role("button", name="No, or I do not know").click()
        page.get_by_text("takeitdown.ncmec.org").wait_for()
        assert_accessible(page)
