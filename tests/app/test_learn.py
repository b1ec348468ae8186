"""The check-up and the lessons work without a vault."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from entrenous.learn.facts import all_questions
from tests.app.served import PHONE, assert_no_violations, open_page, run_app, text_of_pdf
from tests.app.walker import MODE_PARAMETERS, Mode, Walker

pytestmark = [pytest.mark.real, pytest.mark.slow]


@dataclass(frozen=True)
class AppWithoutDevice:
    """The first page of an app without a device, and the folder in which a device would be."""

    page: Page
    home: Path


@pytest.fixture(scope="module")
def app_without_device(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AppWithoutDevice]:
    """Open the first page of an app whose device is not set up."""
    home = tmp_path_factory.mktemp("teacher") / "device"
    with run_app(home) as app, open_page(browser, app.link) as page:
        yield AppWithoutDevice(page, home)


@MODE_PARAMETERS
def test_teacher_saves_a_lessons_sheet_within_four_pages_and_nothing_is_stored(
    mode: Mode, browser: Browser, app_without_device: AppWithoutDevice
) -> None:
    first_page, script = app_without_device.page, mode != "no-script"
    with open_page(browser, first_page.url, script=script, after=first_page) as page:
        teacher = Walker(page, mode)
        teacher.press("Check-up", "link")
        teacher.press("Lessons", "link")
        teacher.press("Being threatened", "link")
        teacher.tick("It mostly brings the next demand")
        teacher.press("See if that is right")
        box = page.get_by_role("status").bounding_box()
        assert box
        assert box["y"] < PHONE["height"] / 2  # the answer is seen without scrolling
        name, sheet = teacher.save_file("Sheet as PDF, A4")
        assert name.endswith("-a4.pdf")
        assert "Being threatened" in text_of_pdf(sheet)
        assert len(teacher.headings) <= 4
        assert not app_without_device.home.exists()


def test_check_up_asks_one_question_per_page_stores_nothing_and_leads_to_help(
    browser: Browser, tmp_path: Path
) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        _begin_check_up(page)
        first, *others = all_questions()
        page.get_by_role("heading", name=first.question).wait_for()
        assert_no_violations(page)
        page.get_by_role("button", name="No", exact=True).click()
        for question in others:
            page.get_by_role("heading", name=question.question).wait_for()
            page.get_by_role("button", name="Skip").click()
        page.get_by_role("heading", name="What was found").wait_for()
        assert_no_violations(page)
        assert first.step is not None
        assert page.get_by_text(first.step).is_visible()
        page.get_by_role("link", name="Start", exact=True).click()
        _answer_that_somebody_threatens(page)
        assert not (tmp_path / "device").exists()


def _begin_check_up(page: Page) -> None:
    page.get_by_role("link", name="Check-up").click()
    page.get_by_role("button", name="Begin").click()


def _answer_that_somebody_threatens(page: Page) -> None:
    """Answer that somebody threatens, and check that help is shown."""
    _begin_check_up(page)
    for _ in all_questions()[:-1]:
        page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="Yes", exact=True).click()
    page.get_by_text("Help comes first.").wait_for()
    assert_no_violations(page)
    assert page.get_by_text("Do not pay, and send nothing more").is_visible()
    page.get_by_role("link", name="People who help, now").click()
    page.get_by_role("heading", name="People who help").wait_for()
