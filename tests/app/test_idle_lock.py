"""Without use the app locks by itself; nothing that was typed is lost, and work goes on."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.app.served import no_violations, opened_page, served_app, unlock
from tests.app.walker import set_up_at_once
from tests.real.stage import wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.parametrize(
    "script",
    [True, pytest.param(False, marks=pytest.mark.nightly)],
    ids=["script", "no-script"],
)
def test_without_use_it_locks_even_if_a_page_looks_for_news_and_keeps_what_was_typed(
    *, script: bool, browser: Browser, tmp_path: Path
) -> None:
    with (
        served_app(tmp_path / "device", ENTRENOUS_LOCKAFTER="3") as app,
        opened_page(browser, app.link, script=script) as page,
    ):
        set_up_at_once(page)
        page.get_by_role("link", name="Send something").click()
        page.get_by_label("Picture, clip or recording").set_input_files(
            {"name": "note.txt", "mimeType": "text/plain", "buffer": b"not a picture"}
        )
        page.get_by_label("Who gets a copy? Write one name on each line").fill("Zelda")
        assert wait_until(lambda: _shows_nothing_more(page), 60)
        page.get_by_role("button", name="Make the copies").click()
        page.get_by_text("Were you typing something?").wait_for()
        no_violations(page)
        unlock(page)
        assert (
            page.get_by_label("Who gets a copy? Write one name on each line").input_value()
            == "Zelda"
        )


def _shows_nothing_more(page: Page) -> bool:
    """Look for news, as the page of the messages does by itself as long as it is open."""
    page.wait_for_timeout(500)
    news = page.context.request.get(page.url.replace("/20", "/40"), headers={"x-live": "1"})
    return urlsplit(news.url).path == "/1"
