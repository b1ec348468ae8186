"""A person without a relay makes copies for two people, traces a leaked copy, writes a letter to a
platform, and saves the letter as PDF. Then she reports somebody who threatens to post a picture.
"""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from skimage import data

from tests.app.friends import create_device_without_browser, open_app, unlock_app
from tests.app.served import assert_no_violations
from tests.app.walker import MODE_PARAMETERS, Mode, Walker

pytestmark = [pytest.mark.real, pytest.mark.slow]
_PAGES_MAX = 10


@MODE_PARAMETERS
def test_found_copy_leads_to_letter_in_at_most_ten_pages_and_threat_to_report(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    with create_device_without_browser(tmp_path / "device", "Ana", None):
        pass
    with open_app(browser, tmp_path / "device", script=mode != "no-script") as page:
        unlock_app(page)
        leak = _make_leaked_copy(page, tmp_path)
        page.get_by_role("link", name="Start", exact=True).click()
        ana = Walker(page, mode)
        _trace_found_copy(ana, leak)
        _write_to_platform(ana)
        assert len(ana.headings) <= _PAGES_MAX, ana.headings
        ana.follow("Start")
        _report_threat(ana, tmp_path)


def _make_leaked_copy(page: Page, folder: Path) -> Path:
    """Make copies for Ben and Caro; return Caro's copy, cropped and compressed again."""
    photo, leak = folder / "photo.jpg", folder / "leak.jpg"
    Image.fromarray(data.astronaut()).resize((900, 900)).save(photo, quality=95)
    copies = _make_copies(page, photo)
    Image.open(io.BytesIO(copies["Caro"])).crop((60, 40, 840, 860)).save(leak, quality=75)
    return leak


def _make_copies(page: Page, photo: Path) -> dict[str, bytes]:
    page.get_by_role("link", name="Send something").click()
    page.get_by_role("heading", name="Make copies for any messenger").wait_for()
    assert_no_violations(page)
    page.get_by_label("Picture, clip or recording").set_input_files(photo)
    page.get_by_label("Who gets a copy? Write one name on each line").fill("Ben\nCaro")
    page.get_by_role("button", name="Make the copies").click()
    page.get_by_role("heading", name="The copies are ready").wait_for()
    assert_no_violations(page)
    made = {}
    for name in ("Ben", "Caro"):
        with page.expect_download() as saved:
            page.get_by_role("link", name=f"Save the copy for {name}").click()
        assert name not in saved.value.suggested_filename
        made[name] = saved.value.path().read_bytes()
    return made


def _trace_found_copy(ana: Walker, leak: Path) -> None:
    """Trace the found picture to Caro's copy, and open the page that explains the verdict."""
    page = ana.page
    ana.press("I found something of mine", "link")
    ana.choose_file("Pictures, clips or recordings that you found", leak)
    ana.begin("Find out whose copy it is")
    ana.wait_for_page("What was found")
    page.get_by_text("Its hidden marks fit the copy made for Caro.").wait_for()
    assert page.get_by_text("made for Ben").count() == 0
    assert page.get_by_text("This says whose copy got out, not who passed it on.").is_visible()
    _, paper = ana.save_file("Save this finding as PDF")
    assert paper.startswith(b"%PDF-")
    verdict = page.url
    # This page is optional, so it does not count towards the limit on pages.
    page.get_by_role("link", name="How do we know?").click()
    page.get_by_role("heading", name="What this does not say").wait_for()
    assert_no_violations(page)
    page.goto(verdict)


def _write_to_platform(ana: Walker) -> None:
    page = ana.page
    ana.press("Do something about it")
    ana.press_exactly("Yes")
    ana.press_exactly("No")
    ana.press_exactly("Yes")
    ana.press("Anybody can see it")
    ana.fill("Its name, in any language", "USA")
    ana.press("Next")
    ana.fill("Web address of the page", "https://www.instagram.com/p/123")
    ana.press("Open my case")
    assert page.get_by_text("What was found: the copy made for Caro.").is_visible()
    ana.press("Write to")
    name, letter = ana.save_file("Save as PDF")
    assert (name, letter[:5]) == ("letter-1.pdf", b"%PDF-")
    assert "https://www.instagram.com/p/123" in page.get_by_role("region").inner_text()


def _report_threat(ana: Walker, folder: Path) -> None:
    page, shot = ana.page, folder / "demand.png"
    Image.fromarray(data.page()).save(shot)
    ana.press("Something happened", "link")
    ana.unfold("Something else happened")
    ana.press("Begin: it is about me")
    ana.press_exactly("Yes")
    ana.press_exactly("No")
    ana.press_exactly("Yes")
    ana.press("Nothing was shared yet")
    assert ana.headings[-1] == "Somebody threatens to share your pictures"
    assert page.get_by_text("Do not pay, and send nothing more").first.is_visible()
    ana.press("Go on with the case", "link")  # the country is known from the first case
    ana.fill("The app or site, for example WhatsApp", "Instagram")
    ana.fill("The chat, in your own words", "direct messages")
    ana.fill("The account that threatens, if you know it", "@lena.k")
    ana.press("Open my case")
    ana.press("Keep evidence", "link")
    ana.choose_file("Screenshots, pictures, saved pages", shot)
    ana.press_exactly("Keep it")
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
