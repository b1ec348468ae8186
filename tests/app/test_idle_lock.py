"""Without use the app locks by itself; nothing that was typed is lost, and work goes on."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.app.served import no_violations, opened_page, served_app, set_up, unlock

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_without_use_it_locks_and_keeps_what_was_typed(
    *, script: bool, browser: Browser, tmp_path: Path
) -> None:
    with (
        served_app(tmp_path / "device", ENTRENOUS_LOCKAFTER="4") as app,
        opened_page(browser, app.link, script=script) as page,
    ):
        set_up(page)
        page.get_by_role("link", name="Send something").click()
        page.get_by_label("Picture, clip or recording").set_input_files(
            {"name": "note.txt", "mimeType": "text/plain", "buffer": b"not a picture"}
        )
        page.get_by_label("Who gets a copy? Write one name on each line").fill("Zelda")
        page.wait_for_timeout(6000)
        page.get_by_role("button", name="Make the copies").click()
        page.get_by_text("Were you typing something?").wait_for()
        no_violations(page)
        unlock(page)
        assert (
            page.get_by_label("Who gets a copy? Write one name on each line").input_value()
            == "Zelda"
        )


def test_an_open_page_that_looks_for_news_does_not_keep_it_open(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        served_app(tmp_path / "device", ENTRENOUS_LOCKAFTER="3") as app,
        opened_page(browser, app.link) as page,
    ):
        set_up(page)
        page.goto(f"{app.address}/40")
        for _ in range(8):
            page.wait_for_timeout(1000)
            page.context.request.get(f"{app.address}/40", headers={"x-live": "1"})
        page.reload()
        page.get_by_label("Your passphrase").wait_for()
