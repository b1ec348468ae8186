"""Make copies, find one of them, and see whose it is: with script and without."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from skimage import data

from tests.app.served import no_violations, opened_page, served_app, set_up

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_found_copy_is_named_and_its_report_saved(
    *, script: bool, browser: Browser, tmp_path: Path
) -> None:
    photo, leak = tmp_path / "photo.jpg", tmp_path / "leak.jpg"
    Image.fromarray(data.astronaut()).resize((900, 900)).save(photo, quality=95)
    with (
        served_app(tmp_path / "device") as app,
        opened_page(browser, app.link, script=script) as page,
    ):
        set_up(page)
        copies = _make_copies(page, photo)
        Image.open(io.BytesIO(copies["Caro"])).crop((60, 40, 840, 860)).save(leak, quality=75)
        _look(page, leak)
        page.get_by_text("Its hidden marks fit the copy made for Caro.").wait_for()
        assert page.get_by_text("made for Ben").count() == 0
        assert page.get_by_text("This says whose copy got out, not who passed it on.").is_visible()
        no_violations(page)
        with page.expect_download() as saved:
            page.get_by_role("link", name="Save this finding as PDF").click()
        assert saved.value.path().read_bytes().startswith(b"%PDF-")
        page.get_by_role("link", name="How do we know?").click()
        page.get_by_role("heading", name="What this does not say").wait_for()
        no_violations(page)


def _make_copies(page: Page, photo: Path) -> dict[str, bytes]:
    page.get_by_role("link", name="Send something").click()
    no_violations(page)
    page.get_by_label("Picture, clip or recording").set_input_files(photo)
    page.get_by_label("Who gets a copy? Write one name on each line").fill("Ben\nCaro")
    page.get_by_role("button", name="Make the copies").click()
    page.get_by_role("heading", name="The copies are ready").wait_for()
    no_violations(page)
    made = {}
    for name in ("Ben", "Caro"):
        with page.expect_download() as saved:
            page.get_by_role("link", name=f"Save the copy for {name}").click()
        assert name not in saved.value.suggested_filename
        made[name] = saved.value.path().read_bytes()
    return made


def _look(page: Page, found: Path) -> None:
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name="I found something of mine").click()
    no_violations(page)
    page.get_by_label("Pictures, clips or recordings that you found").set_input_files(found)
    page.get_by_role("button", name="Find out whose copy it is").click()
    page.get_by_role("heading", name="What was found").wait_for()
