"""Somebody finds a picture of hers, alone: from there to a letter as PDF; and a threat."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from skimage import data

from tests.app.served import opened_page, served_app, set_up
from tests.app.walker import MODE_PARAMETERS, Mode, Walker

pytestmark = [pytest.mark.real, pytest.mark.slow]
_PAGES_MAX = 10


@MODE_PARAMETERS
def test_from_a_found_picture_to_the_letter_in_ten_pages(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    leak = tmp_path / "leak.jpg"
    with (
        served_app(tmp_path / "device") as app,
        opened_page(browser, app.link, script=mode != "no-script") as page,
    ):
        set_up(page)
        leak.write_bytes(_leaked_copy(page, tmp_path))
        page.get_by_role("link", name="Start", exact=True).click()
        ana = Walker(page, mode)
        ana.press("I found something of mine", "link")
        ana.choose("Pictures, clips or recordings that you found", leak)
        ana.begin("Find out whose copy it is")
        ana.arrives("What was found")
        ana.press("Do something about it")
        ana.exactly("Yes")
        ana.exactly("No")
        ana.exactly("Yes")
        ana.press("Anybody can see it")
        ana.fill("Its name, in any language", "USA")
        ana.press("Next")
        ana.fill("Web address of the page", "https://www.instagram.com/p/123")
        ana.press("Open my case")
        assert page.get_by_text("What was found: the copy made for Caro.").is_visible()
        ana.press("Write to")
        name, letter = ana.saved("Save as PDF")
        assert (name, letter[:5]) == ("letter-1.pdf", b"%PDF-")
        assert "https://www.instagram.com/p/123" in page.get_by_role("region").inner_text()
        assert len(ana.pages) <= _PAGES_MAX, ana.pages


def _leaked_copy(page: Page, folder: Path) -> bytes:
    """Make two copies, and return a worse picture of the second."""
    photo = folder / "photo.jpg"
    Image.fromarray(data.astronaut()).resize((900, 900)).save(photo, quality=95)
    page.get_by_role("link", name="Send something").click()
    page.get_by_label("Picture, clip or recording").set_input_files(photo)
    page.get_by_label("Who gets a copy? Write one name on each line").fill("Ben\nCaro")
    page.get_by_role("button", name="Make the copies").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the copy for Caro").click()
    out, copy = io.BytesIO(), saved.value.path().read_bytes()
    Image.open(io.BytesIO(copy)).crop((60, 40, 840, 860)).save(out, "JPEG", quality=75)
    return out.getvalue()


@MODE_PARAMETERS
def test_a_threat_with_nothing_posted_yet(mode: Mode, browser: Browser, tmp_path: Path) -> None:
    shot = tmp_path / "demand.png"
    Image.fromarray(data.page()).save(shot)
    with (
        served_app(tmp_path / "device") as app,
        opened_page(browser, app.link, script=mode != "no-script") as page,
    ):
        set_up(page)
        ana = Walker(page, mode)
        ana.press("Something happened", "link")
        ana.press("Begin: it is about me")
        ana.exactly("Yes")
        ana.exactly("No")
        ana.exactly("Yes")
        ana.press("Nothing was shared yet")
        assert ana.pages[-1] == "Somebody threatens to share your pictures"
        assert page.get_by_text("Do not pay, and send nothing more").first.is_visible()
        ana.press("Go on with the case", "link")
        ana.fill("Its name, in any language", "USA")
        ana.press("Next")
        ana.fill("The app or site, for example WhatsApp", "Instagram")
        ana.fill("The chat, in your own words", "direct messages")
        ana.fill("The account that threatens, if you know it", "@lena.k")
        ana.press("Open my case")
        ana.press("Keep evidence", "link")
        ana.choose("Screenshots, pictures, saved pages", shot)
        ana.exactly("Keep it")
        ana.press("Back to the case", "link")
        assert page.get_by_text("Before anything appears, let platforms refuse it").is_visible()
        assert page.get_by_role("link", name="Everything that can be done").is_visible()
        ana.press("Show me how")
        assert "StopNCII" in page.get_by_role("region").inner_text()
        site = page.get_by_role("link", name="Open their page in a new window")
        assert site.get_attribute("href") == "https://stopncii.org"
        ana.press("Back to the case", "link")
        ana.press("Open the letter", "link")
        ana.press("I did it")
        ana.press("Back to the case", "link")
        assert page.get_by_text("Report the account that threatens to its platform").is_visible()
        ana.press("Write it now")
        assert "@lena.k" in page.get_by_role("region").inner_text()
