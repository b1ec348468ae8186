"""Evidence seen small under its veil, checked again, and saved with what proves its time."""

import io
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from entrenous.demo.stamp_authority import make_stamp_server
from tests.app.presentations import for_everybody
from tests.app.served import Served, opened_page, served_app
from tests.app.states import photograph
from tests.app.walker import (
    MODE_PARAMETERS_MOUSE_AT_NIGHT,
    Mode,
    Walker,
    open_case_at_once,
    set_up_at_once,
)
from tests.respond.test_stamp_authorities import local_authority, needs_openssl, settings_for

pytestmark = [pytest.mark.real, pytest.mark.slow]


@contextmanager
def _stamped_app(folder: Path) -> Iterator[Served]:
    """Run the app with a stamp authority of its own, which answers."""
    with make_stamp_server(local_authority(folder), "127.0.0.1", 0) as server:
        there = settings_for(folder, f"http://127.0.0.1:{server.server_address[1]}/")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with served_app(
            folder / "device",
            ENTRENOUS_STAMP_AUTHORITIES=str(there.stamp_authorities),
            ENTRENOUS_CA_BUNDLE=str(there.ca_bundle),
        ) as app:
            yield app
        server.shutdown()


@needs_openssl
@MODE_PARAMETERS_MOUSE_AT_NIGHT
def test_an_item_is_seen_under_a_veil_checked_and_saved_with_its_proofs(
    browser: Browser, tmp_path: Path, mode: Mode
) -> None:
    with (
        _stamped_app(tmp_path) as app,
        opened_page(browser, app.link, script=mode != "no-script") as page,
    ):
        set_up_at_once(page)
        open_case_at_once(page)
        ana = Walker(page, mode)
        ana.press("Keep evidence", "link")
        ana.choose("Screenshots, pictures, saved pages", photograph(tmp_path))
        ana.fill("Or note something in your own words", "I saw it on Monday")
        ana.exactly("Keep it")
        assert page.get_by_role("img").count() == 0
        ana.begin("Show the pictures small")
        ana.arrives("Evidence")
        _lifted_from_its_veil(page, ana)
        ana.begin("Check everything")
        ana.arrives("Everything holds")
        assert page.get_by_text("There is no stamp yet").is_visible()
        ana.follow("Back")
        ana.begin("Have all of it stamped")
        ana.arrives("It is stamped")
        ana.follow("Back")
        ana.begin("Check everything")
        ana.arrives("Everything holds")
        assert page.get_by_text("2 items are byte for byte as they were kept").is_visible()
        assert page.get_by_text("1 stamp is genuine").is_visible()
        ana.follow("Back")
        with page.expect_download() as saving:
            ana.begin("Save item 1 with its proofs")
        _proven(saving.value.path().read_bytes(), tmp_path / "unpacked")
        ana.press("Lock")
        assert page.get_by_role("img").count() == 0


def _lifted_from_its_veil(page: Page, ana: Walker) -> None:
    small = page.get_by_role("img", name="Item 1, small")
    assert small.evaluate("it => it.complete || it.decode().then(() => true)")
    assert "blur" in small.evaluate("it => getComputedStyle(it).filter")
    for_everybody(page)
    ana.tick("Show item 1")
    assert small.evaluate("it => getComputedStyle(it).filter") == "none"
    assert page.get_by_role("button", name="Show the pictures small").count() == 0


def _proven(pack: bytes, folder: Path) -> None:
    """Do what the file tells whoever gets it: openssl finds the stamp good."""
    with zipfile.ZipFile(io.BytesIO(pack)) as packed:
        packed.extractall(folder)
    commands = (folder / "how-to-check.txt").read_text().splitlines()
    openssl = next(line for line in commands if line.strip().startswith("openssl"))
    said = subprocess.check_output(
        openssl, shell=True, cwd=folder, stderr=subprocess.STDOUT, text=True
    )
    assert "Verification: OK" in said
    hashed = subprocess.check_output(commands[-1], shell=True, cwd=folder, text=True)
    assert hashed.split()[0] in (folder / "stamp-1.json").read_text()
