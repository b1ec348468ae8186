"""Tests of a case's pages: letters, deadlines, evidence, time stamps, watching, packs, erasure."""

import io
import json
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from entrenous.demo.stamp_authority import make_stamp_server
from tests.app.presentations import assert_accessible
from tests.app.served import PHONE, RunningApp, open_page, run_app, text_of_pdf
from tests.app.states import save_photograph
from tests.app.walker import (
    MODE_PARAMETERS,
    Mode,
    Walker,
    open_case_at_once,
    set_up_at_once,
)
from tests.respond.test_stamp_authorities import (
    create_local_authority,
    needs_openssl,
    write_settings,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]


def _open_case(page: Page) -> Walker:
    set_up_at_once(page)
    open_case_at_once(page)
    return Walker(page)


def test_letter_is_filled_in_translated_sent_and_followed_up(
    browser: Browser, tmp_path: Path
) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        ana = _open_case(page)
        ana.press("Write to")
        letter = page.get_by_role("region")
        assert "[your signature; a typed name is one]" in letter.inner_text()
        _check_visible_without_scrolling(page, "Open their form in a new window")
        _check_link_is_just_below_button(page, "Write it into the letter", "Save as PDF")
        assert page.get_by_text("3 places are still empty.").is_visible()
        assert page.get_by_text("A letter without your name may be refused.").is_visible()
        assert page.get_by_text("It holds no picture").is_hidden()  # its section is folded
        ana.fill("your signature; a typed name is one", "Ana Ruiz")
        ana.tick("This is true, so write: This is an intimate visual depiction.")
        ana.press("Write it into the letter")
        for words in ("Ana Ruiz", "This is an intimate visual depiction."):
            assert words in letter.inner_text()
            assert ana.save_file("Save as text")[1].decode().count(words) == 1
            assert words in text_of_pdf(ana.save_file("Save as PDF")[1])
        ana.unfold("Another language")
        page.get_by_label("Language of the letter").select_option("de")
        ana.press("Write a new version")
        ana.press("What changed since the version before", "link")
        ana.press("Back to the letter", "link")
        ana.unfold("It happened earlier")
        page.get_by_label("Which day").fill("2040-01-01")
        ana.press("I sent it")
        assert page.get_by_role("alert").get_by_text("cannot be in the future").is_visible()
        ana.press("I sent it")
        assert page.get_by_text("If they do nothing by then").is_visible()
        number = "The number that they gave you, and the PIN if there is one"
        ana.fill(number, "case 77")
        ana.press("Keep the number")
        assert page.get_by_label(number).input_value() == "case 77"
        ana.press("Their form, and what to paste", "link")
        assert page.get_by_label("the link of each place").input_value().endswith("/p/123")
        ana.press("Back", "link")
        assert page.get_by_text("Nothing to do now: they have until").is_visible()
        assert page.get_by_text("The next step is to write to: FTC").is_visible()
        name, dates = ana.save_file("Save as calendar reminders")
        assert name == "reminders.ics"
        assert b"Reminder 1" in dates
        assert not any(word in dates.lower() for word in (b"act", b"instagram", b"entrenous"))


def _check_visible_without_scrolling(page: Page, link: str) -> None:
    """Check that a link is on the first screen of a phone."""
    box = page.get_by_role("link", name=link).bounding_box()
    assert box
    assert box["y"] + box["height"] < PHONE["height"]


def _check_link_is_just_below_button(page: Page, button: str, link: str) -> None:
    """Check that a link is at most a quarter of a screen below a button."""
    pressed = page.get_by_role("button", name=button).bounding_box()
    box = page.get_by_role("link", name=link).bounding_box()
    assert pressed
    assert box
    assert 0 < box["y"] - pressed["y"] - pressed["height"] < PHONE["height"] / 4


@needs_openssl
def test_evidence_waits_for_an_unreachable_authority_and_is_stamped_later(
    browser: Browser, tmp_path: Path
) -> None:
    with make_stamp_server(create_local_authority(tmp_path), "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        authority_settings = write_settings(tmp_path, url)
        environment = {
            "ENTRENOUS_STAMP_AUTHORITIES": str(authority_settings.stamp_authorities),
            "ENTRENOUS_CA_BUNDLE": str(authority_settings.ca_bundle),
        }
        with (
            run_app(tmp_path / "device", **environment) as app,
            open_page(browser, app.link) as page,
        ):
            ana = _open_case(page)
            ana.press("Keep evidence", "link")
            ana.fill("Or note something in your own words", "I saw it on Monday")
            ana.press_exactly("Keep it")
            kept = page.get_by_text("Unchanged since then. These are your own words.")
            assert "No outside proof of time yet." in kept.inner_text()
            table = tmp_path / "table.toml"
            table_text = table.read_text()
            table.write_text(table_text.replace(url, "http://127.0.0.1:9/"))
            ana.begin("Have all of it stamped")
            ana.wait_for_page("It waits for a stamp")
            ana.press("Back to the case", "link")
            assert page.get_by_text("To be stamped since").is_visible()
            table.write_text(table_text)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            ana.press("Look at it", "link")
            ana.begin("Have all of it stamped")
            ana.wait_for_page("It is stamped")
            assert page.get_by_text("existed by then").is_visible()
            ana.follow("Back")
            assert page.get_by_text("An outside service confirms that it existed").is_visible()
        server.shutdown()


def test_case_is_watched_packed_closed_and_erased(browser: Browser, tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        ana = _open_case(page)
        ana.press("Watch the pages", "link")
        ana.press("Watch page 1")
        assert page.get_by_role("alert").is_visible()
        ana.tick("I have read it, and I agree")
        ana.press("Watch page 1")
        assert page.get_by_text("nobody has looked yet").is_visible()
        ana.press("Stop watching page 1")
        ana.press("Back to the case", "link")
        ana.press("Write to")
        ana.press("Back to the case", "link")
        ana.press("Hand it over", "link")
        ana.begin("Make the pack for a platform")
        ana.wait_for_page("The pack is ready")
        name, pack = ana.save_file("Save it")
        assert (name, pack[:2]) == ("pack.zip", b"PK")
        ana.press("Back to the case", "link")
        ana.press("Say more about it", "link")
        ana.tick("Somebody in the picture was, or may have been, under 18")
        ana.press_exactly("Keep it")
        ana.press("Note it, and close the case")
        assert page.get_by_text("This case takes in nothing more").is_visible()
        ana.press("Erase it", "link")
        ana.unfold("I want to erase it")
        ana.begin("Erase it for good")
        ana.wait_for_page("The case is erased")
        name, receipt = ana.save_file("Save the receipt")
        assert name == "receipt.json"
        assert json.loads(receipt).keys() == {"schema", "erased_at", "number"}
        ana.press("Back", "link")
        assert page.get_by_text("case-").count() == 0


def test_page_for_the_police_is_not_chosen_in_advance_for_a_pack_for_a_platform(
    browser: Browser, tmp_path: Path
) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        ana = _open_case(page)
        case = page.url
        page.goto(case.replace("/83/", "/84/"))
        with page.expect_navigation():  # the button is in a folded section
            page.locator("button[value=us-tida-crime]").evaluate("it => it.click()")
        page.goto(case)
        ana.press("Hand it over", "link")
        assert not page.get_by_role("checkbox").is_checked()
        ana.begin("Make the pack for a platform")
        page.get_by_text("contains only letters to that platform").wait_for()


@contextmanager
def _run_app_with_stamp_authority(folder: Path) -> Iterator[RunningApp]:
    """Run the app with a working local stamp authority."""
    with make_stamp_server(create_local_authority(folder), "127.0.0.1", 0) as server:
        authority_settings = write_settings(folder, f"http://127.0.0.1:{server.server_address[1]}/")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with run_app(
            folder / "device",
            ENTRENOUS_STAMP_AUTHORITIES=str(authority_settings.stamp_authorities),
            ENTRENOUS_CA_BUNDLE=str(authority_settings.ca_bundle),
        ) as app:
            yield app
        server.shutdown()


@needs_openssl
@MODE_PARAMETERS
def test_evidence_is_shown_blurred_verified_and_saved_with_its_proofs(
    browser: Browser, tmp_path: Path, mode: Mode
) -> None:
    with (
        _run_app_with_stamp_authority(tmp_path) as app,
        open_page(browser, app.link, script=mode != "no-script") as page,
    ):
        set_up_at_once(page)
        open_case_at_once(page)
        ana = Walker(page, mode)
        ana.press("Keep evidence", "link")
        ana.choose_file("Screenshots, pictures, saved pages", save_photograph(tmp_path))
        ana.fill("Or note something in your own words", "I saw it on Monday")
        ana.press_exactly("Keep it")
        assert page.get_by_role("img").count() == 0
        ana.begin("Show the pictures small")
        ana.wait_for_page("Evidence")
        _unblur_picture(page, ana)
        ana.begin("Check everything")
        ana.wait_for_page("Everything holds")
        assert page.get_by_text("There is no stamp yet").is_visible()
        ana.follow("Back")
        ana.begin("Have all of it stamped")
        ana.wait_for_page("It is stamped")
        ana.follow("Back")
        ana.begin("Check everything")
        ana.wait_for_page("Everything holds")
        assert page.get_by_text("2 items are byte for byte as they were kept").is_visible()
        assert page.get_by_text("1 stamp is genuine").is_visible()
        ana.follow("Back")
        with page.expect_download() as saving:
            ana.begin("Save item 1 with its proofs")
        _check_proofs(saving.value.path().read_bytes(), tmp_path / "unpacked")
        ana.press("Lock")
        assert page.get_by_role("img").count() == 0


def _unblur_picture(page: Page, ana: Walker) -> None:
    small = page.get_by_role("img", name="Item 1, small")
    assert small.evaluate("it => it.complete || it.decode().then(() => true)")
    assert "blur" in small.evaluate("it => getComputedStyle(it).filter")
    assert_accessible(page)
    ana.tick("Show item 1")
    assert small.evaluate("it => getComputedStyle(it).filter") == "none"
    assert page.get_by_role("button", name="Show the pictures small").count() == 0


def _check_proofs(pack: bytes, folder: Path) -> None:
    """Run the commands in how-to-check.txt: openssl verifies the stamp, and the hash matches."""
    with zipfile.ZipFile(io.BytesIO(pack)) as packed:
        packed.extractall(folder)
    commands = (folder / "how-to-check.txt").read_text().splitlines()
    openssl = next(line for line in commands if line.strip().startswith("openssl"))
    verified = subprocess.check_output(
        openssl, shell=True, cwd=folder, stderr=subprocess.STDOUT, text=True
    )
    assert "Verification: OK" in verified
    hashed = subprocess.check_output(commands[-1], shell=True, cwd=folder, text=True)
    assert hashed.split()[0] in (folder / "stamp-1.json").read_text()
