"""Settings persist, an archive is exported and imported, and the device can be erased and the app
closed.
"""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from skimage import data

from tests.app.presentations import assert_accessible
from tests.app.served import open_page, run_app
from tests.app.walker import set_up_at_once
from tests.real.processes import wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow]
CANARY = "Zelda-canary-7731"
ARCHIVE_PASSPHRASE = "copper lantern orchid bicycle fjord"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.fromarray(data.astronaut()).resize((700, 700)).save(path, quality=92)
    return path


def open_settings(page: Page) -> None:
    page.get_by_role("link", name="Start", exact=True).click()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("heading", name="Settings").wait_for()


def test_settings_made_without_script_persist(browser: Browser, tmp_path: Path) -> None:
    home = tmp_path / "device"
    with run_app(home) as app, open_page(browser, app.link, script=False) as page:
        open_settings(page)
        page.get_by_label("Text size").select_option("150 %")
        page.get_by_label("Name of the tab").fill("Recipes")
        page.get_by_label("Icon: dot").check()
        page.get_by_role("button", name="Save").click()
        expect(page).to_have_title("Recipes")
        page.get_by_role("link", name="Change the proxy").click()
        page.get_by_label("Address").fill("socks5://127.0.0.1:9050")
        page.get_by_role("button", name="Use it").click()
        page.get_by_role("alert").wait_for()
        assert page.get_by_label("Address").input_value() == "socks5://127.0.0.1:9050"
        page.get_by_label("Address").fill("socks5h://127.0.0.1:9050")
        page.get_by_role("button", name="Use it").click()
        page.get_by_text("127.0.0.1:9050").wait_for()
    with run_app(home) as app, open_page(browser, app.link) as page:
        open_settings(page)
        assert page.title() == "Recipes"
        assert page.get_by_label("Text size").input_value() == "150"
        assert page.get_by_label("Icon: dot").is_checked()
        page.get_by_text("127.0.0.1:9050").wait_for()
        assert_accessible(page)


def test_archive_is_exported_and_imported(browser: Browser, tmp_path: Path, photo: Path) -> None:
    saved = tmp_path / "saved.zip"
    with (
        run_app(tmp_path / "old") as app,
        open_page(browser, app.link) as page,
    ):
        set_up_at_once(page)
        _make_copies(page, photo)
        open_settings(page)
        page.get_by_role("link", name="Make an archive").click()
        page.get_by_role("heading", name="Make an archive").wait_for()
        assert_accessible(page)
        page.get_by_label("A passphrase for the archive").fill(ARCHIVE_PASSPHRASE)
        page.get_by_label("Repeat the passphrase").fill(ARCHIVE_PASSPHRASE)
        page.get_by_role("button", name="Make the archive").click()
        page.get_by_role("heading", name="The archive is ready").wait_for(timeout=60_000)
        assert_accessible(page)
        with page.expect_download() as download:
            page.get_by_role("link", name="Save it").click()
        download.value.save_as(saved)
        assert CANARY.encode() not in saved.read_bytes()
        page.get_by_role("button", name="Lock").click()
        page.get_by_role("link", name="Unlock").wait_for()
        assert wait_until(lambda: not (tmp_path / "old" / "archive.zip").exists(), 60)
    with run_app(tmp_path / "new") as app, open_page(browser, app.link) as page:
        set_up_at_once(page)
        open_settings(page)
        page.get_by_role("link", name="Open an archive").click()
        page.get_by_role("heading", name="Open an archive").wait_for()
        assert_accessible(page)
        page.get_by_label("The archive file").set_input_files(photo)
        page.get_by_label("Passphrase of the archive").fill(ARCHIVE_PASSPHRASE)
        page.get_by_role("button", name="Open it").click()
        page.get_by_text("This is not a complete Entrenous archive").wait_for()
        page.go_back()
        open_settings(page)
        page.get_by_role("link", name="Open an archive").click()
        page.get_by_label("The archive file").set_input_files(saved)
        page.get_by_label("Passphrase of the archive").fill(ARCHIVE_PASSPHRASE)
        page.get_by_role("button", name="Open it").click()
        page.get_by_text("Imported: 1 sent.").wait_for(timeout=60_000)
        assert_accessible(page)


def _make_copies(page: Page, photo: Path) -> None:
    page.get_by_role("link", name="Send something").click()
    page.get_by_label("Picture, clip or recording").set_input_files(photo)
    page.get_by_label("Who gets a copy?").fill(CANARY)
    page.get_by_role("button", name="Make the copies").click()
    page.get_by_role("heading", name="The copies are ready").wait_for(timeout=60_000)


@pytest.mark.parametrize(
    "script",
    [True, pytest.param(False, marks=pytest.mark.nightly)],
    ids=["script", "no-script"],
)
def test_erasing_leaves_only_foreign_files_and_closing_ends_the_app(
    *, script: bool, browser: Browser, tmp_path: Path, photo: Path
) -> None:
    home = tmp_path / "device"
    with run_app(home) as app, open_page(browser, app.link, script=script) as page:
        set_up_at_once(page, name=CANARY)
        _make_copies(page, photo)
        (home / "diary.txt").write_text("not of this app")
        open_settings(page)
        page.get_by_role("link", name="Erase everything").click()
        assert_accessible(page)
        page.get_by_label("To go on, type the word").fill("no")
        page.get_by_role("button", name="Erase everything now").click()
        page.get_by_text("nothing was erased").wait_for()
        assert (home / "vault.json").exists()
        page.get_by_label("To go on, type the word").fill("erase")
        page.get_by_role("button", name="Erase everything now").click()
        page.get_by_role("heading", name="Everything was erased").wait_for()
        assert_accessible(page)
        assert [path.name for path in home.rglob("*")] == ["diary.txt"]
        assert (home / "diary.txt").read_text() == "not of this app"
        page.get_by_role("link", name="Close the app").click()
        assert_accessible(page)
        page.get_by_role("button", name="Close now").click()
        page.get_by_role("heading", name="The app is closed").wait_for()
        assert_accessible(page)
        assert app.process.wait(60) == 0
