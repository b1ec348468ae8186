"""Tests of exported lessons: pages (Chromium and axe) and PDF sheets (Poppler)."""

import io
import re
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from entrenous.cli import run
from entrenous.learn.export import LessonTooLong, PaperSize, render_lesson_sheet
from entrenous.learn.lesson import Lesson, all_lessons, find_lesson
from tests.app.served import run_chromium
from tests.sizes import size
from tests.trace.explain.test_page import Elements

pytestmark = [pytest.mark.real, pytest.mark.slow]

PAPER_SIZES_PT = {PaperSize.A4: ("595.28", "841.89"), PaperSize.LETTER: ("612", "792")}
CHROMIUM_PAPER_FORMATS = {PaperSize.A4: "A4", PaperSize.LETTER: "Letter"}
LONGEST_LESSON = max(all_lessons(), key=lambda lesson: len(lesson.text)).name
#: All pairs of a lesson and a paper size. ``make test`` prints only the longest lesson.
PRINTED_LESSONS = [
    pytest.param(one.name, paper, marks=[] if one.name == LONGEST_LESSON else pytest.mark.nightly)
    for one in all_lessons()
    for paper in PaperSize
]


def run_command(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return done.stdout


def remove_whitespace(text: str) -> str:
    """Remove all whitespace, so that line breaks in long URLs do not matter."""
    return re.sub(r"\s+", "", text)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that ``learn export`` wrote."""
    folder = tmp_path_factory.mktemp("learn") / "site"
    with redirect_stdout(io.StringIO()) as output:
        assert run(["learn", "export", str(folder)], {}) == 0
    assert "43 files" in output.getvalue()
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_chromium() as running:
        yield running


def test_export_has_an_index_and_a_page_and_two_sheets_per_lesson(site: Path) -> None:
    expected = {"index.html"} | {
        f"{name}{end}"
        for name in [one.name for one in all_lessons()]
        for end in (".html", "-a4.pdf", "-letter.pdf")
    }
    assert {file.name for file in site.iterdir()} == expected


def test_second_export_writes_the_same_bytes_and_does_not_replace_a_changed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = all_lessons()[: size(2, len(all_lessons()))]
    monkeypatch.setattr("entrenous.learn.commands.lessons.all_lessons", lambda: exported)
    for _ in range(2):
        assert run(["learn", "export", str(tmp_path)], {}) == 0  # the status is 3 if a file differs
    (tmp_path / "index.html").write_text("mine")
    assert run(["learn", "export", str(tmp_path)], {}) == 3
    assert (tmp_path / "index.html").read_text() == "mine"


@pytest.mark.parametrize(("page", "paper"), [("index", None), *PRINTED_LESSONS])
def test_page_has_no_script_and_sends_no_request_and_a_lesson_prints_on_one_page(
    site: Path, browser: Browser, tmp_path: Path, page: str, paper: PaperSize | None
) -> None:
    requested = list[str]()
    opened = browser.new_page()
    opened.on("request", lambda request: requested.append(request.url))
    messages = list[Any]()
    opened.on("console", lambda message: messages.append(message.text))
    opened.goto((site / f"{page}.html").as_uri())
    opened.mouse.wheel(0, 5000)
    assert requested == [(site / f"{page}.html").as_uri()]
    assert messages == []
    assert opened.evaluate("document.scripts.length") == 0
    assert opened.evaluate("document.documentElement.lang") == "en"
    if paper:
        opened.pdf(path=tmp_path / "printed.pdf", format=CHROMIUM_PAPER_FORMATS[paper])
        assert re.search(r"Pages:\s+1\n", run_command("pdfinfo", tmp_path / "printed.pdf"))
    opened.close()


@pytest.mark.parametrize(
    ("page", "color_scheme"),
    [
        *(("index", "light"), ("watched-devices", "dark"), ("the-first-hour", "light")),
        *(
            pytest.param(*one, marks=pytest.mark.nightly)
            for one in (("index", "dark"), ("watched-devices", "light"), ("the-first-hour", "dark"))
        ),
    ],
)
def test_page_follows_the_color_scheme_and_axe_finds_no_violations(
    site: Path, browser: Browser, page: str, color_scheme: Any
) -> None:
    opened = browser.new_page(color_scheme=color_scheme)
    opened.goto((site / f"{page}.html").as_uri())
    found = Axe().run(opened)
    assert found.violations_count == 0, found.generate_report()
    background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(250, 248, 245)" if color_scheme == "light" else "rgb(20, 22, 26)")
    opened.close()


def test_lesson_pages_are_well_formed_and_their_local_links_exist(site: Path) -> None:
    """One test checks all lessons. Otherwise each pytest worker would export the whole site."""
    for one in all_lessons():
        elements = Elements((site / f"{one.name}.html").read_text())
        assert elements.open == [], one.name
        links = [attributes["href"] or "" for tag, attributes in elements.found if tag == "a"]
        local_links = [link for link in links if not link.startswith(("https://", "#"))]
        assert all((site / link).is_file() for link in local_links), one.name
        assert "index.html" in local_links, one.name


def text_parts(lesson: Lesson) -> list[str]:
    quiz = lesson.question
    fields = [lesson.title, lesson.closes, lesson.try_now, lesson.undo]
    fields += [quiz.ask, *quiz.choices, quiz.why]
    fields += [block.text for block in lesson.blocks]
    return [*fields, *(source.url for source in lesson.sources)]


@pytest.mark.parametrize(("lesson_name", "paper"), PRINTED_LESSONS)
def test_sheet_has_one_page_and_the_whole_text(
    site: Path, lesson_name: str, paper: PaperSize
) -> None:
    one = find_lesson(lesson_name)
    file = site / f"{one.name}-{paper.value}.pdf"
    about = run_command("pdfinfo", file)
    assert re.search(r"Pages:\s+1\n", about)
    assert all(size in about for size in PAPER_SIZES_PT[paper])
    assert one.title in about
    printed = remove_whitespace(run_command("pdftotext", "-layout", file, "-"))
    assert [words for words in text_parts(one) if remove_whitespace(words) not in printed] == []


def test_sheet_does_not_hyphenate_a_command(site: Path) -> None:
    printed = run_command("pdftotext", "-layout", site / "watched-devices-letter.pdf", "-")
    assert "entrenous help" in " ".join(printed.split())


def test_lesson_that_is_too_long_for_one_page_is_refused() -> None:
    one = all_lessons()[0]
    long = Lesson(
        *(one.name, one.order, one.title, one.closes, one.try_now, one.undo, one.sources),
        *(one.question, one.text * 3),
    )
    with pytest.raises(LessonTooLong):
        render_lesson_sheet(long, PaperSize.A4)
