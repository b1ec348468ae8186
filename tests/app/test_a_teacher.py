"""A teacher, with the mouse, by keyboard alone, and without script."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.app.served import opened_page, served_app
from tests.app.walker import MODE_PARAMETERS, Mode, Walker

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def entrance(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The first page of an app that nobody has set up."""
    with (
        served_app(tmp_path_factory.mktemp("teacher") / "device") as app,
        opened_page(browser, app.link) as page,
    ):
        yield page


@MODE_PARAMETERS
def test_a_teacher_goes_from_a_lesson_to_its_sheet(
    mode: Mode, browser: Browser, entrance: Page
) -> None:
    script = mode != "no-script"
    with opened_page(browser, entrance.url, script=script, after=entrance) as page:
        teacher = Walker(page, mode)
        teacher.press("Check-up", "link")
        teacher.press("Lessons", "link")
        teacher.press("Being threatened", "link")
        name, sheet = teacher.saved("Sheet as PDF, A4")
        assert (name.endswith("-a4.pdf"), sheet[:5]) == (True, b"%PDF-")
        assert len(teacher.pages) <= 4
