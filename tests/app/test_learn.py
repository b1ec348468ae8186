"""The check-up and the lessons, with script and without; no vault is needed."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from entrenous.learn.facts import all_questions
from tests.app.served import PHONE, no_violations, opened_page, served_app

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.parametrize(
    "script",
    [True, pytest.param(False, marks=pytest.mark.nightly)],
    ids=["script", "no-script"],
)
def test_a_teacher_prints_a_lessons_sheet(
    *, script: bool, browser: Browser, tmp_path: Path
) -> None:
    with (
        served_app(tmp_path / "device") as app,
        opened_page(browser, app.link, script=script) as page,
    ):
        _open_lesson(page)
        no_violations(page)
        page.get_by_label("It mostly brings the next demand").check()
        page.get_by_role("button", name="See if that is right").click()
        page.get_by_role("status").wait_for()
        box = page.get_by_role("status").bounding_box()
        assert box
        assert box["y"] < PHONE["height"] / 2  # the answer is seen without scrolling
        no_violations(page)
        with page.expect_download() as saved:
            page.get_by_role("link", name="Sheet as PDF, A4").click()
        text = subprocess.check_output(["pdftotext", str(saved.value.path()), "-"]).decode()
        assert "Being threatened" in text
        assert not (tmp_path / "device").exists()


def _open_lesson(page: Page) -> None:
    page.get_by_role("link", name="Check-up").click()
    no_violations(page)
    page.get_by_role("link", name="Lessons").click()
    no_violations(page)
    page.get_by_role("link", name="Being threatened").click()
    page.get_by_role("heading", level=1, name=re.compile("Being threatened")).wait_for()


def test_the_check_up_asks_one_question_a_page_and_keeps_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    with served_app(tmp_path / "device") as app, opened_page(browser, app.link) as page:
        page.get_by_role("link", name="Check-up").click()
        page.get_by_role("button", name="Begin").click()
        first, *others = all_questions()
        page.get_by_role("heading", name=first.question).wait_for()
        no_violations(page)
        page.get_by_role("button", name="No", exact=True).click()
        for asked in others:
            page.get_by_role("heading", name=asked.question).wait_for()
            page.get_by_role("button", name="Skip").click()
        page.get_by_role("heading", name="What was found").wait_for()
        no_violations(page)
        assert first.step is not None
        assert page.get_by_text(first.step).is_visible()
        assert not (tmp_path / "device").exists()


def test_a_threat_leaves_the_check_up_for_help(browser: Browser, tmp_path: Path) -> None:
    with served_app(tmp_path / "device") as app, opened_page(browser, app.link) as page:
        page.get_by_role("link", name="Check-up").click()
        page.get_by_role("button", name="Begin").click()
        for _ in all_questions()[:-1]:
            page.get_by_role("button", name="Skip").click()
        page.get_by_role("button", name="Yes", exact=True).click()
        page.get_by_text("Help comes first.").wait_for()
        no_violations(page)
        assert page.get_by_text("Do not pay, and send nothing more").is_visible()
        page.get_by_role("link", name="People who help, now").click()
        page.get_by_role("heading", name="People who help").wait_for()
