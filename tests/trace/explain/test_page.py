"""Tests of the report page: findings, structure, escaped names, secrets, and pictures."""

import html
import re
from html.parser import HTMLParser

import pytest

from entrenous.trace.explain.page import write_page
from entrenous.trace.explain.sections import ReportContent, ReportOptions, report_content_of_picture
from tests.trace.traced_leak import TracedLeak

pytestmark = pytest.mark.slow

VOID_ELEMENTS = {"meta", "img", "input", "br", "link", "hr"}


def report_content(traced: TracedLeak, options: ReportOptions = ReportOptions()) -> ReportContent:  # noqa: B008 -- the default is frozen
    return report_content_of_picture(
        traced.picture_trace, traced.leak, 'a "found" <file>.jpg', traced.device, options
    )


@pytest.fixture(scope="module")
def page(leak_of_caros_copy: TracedLeak) -> str:
    return write_page(report_content(leak_of_caros_copy))


class Elements(HTMLParser):
    """Collect the elements of a page, and check that they are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_states_the_finding_its_certainty_and_its_limits(page: str) -> None:
    words = html.unescape(page)
    assert "Its hidden marks fit the copy made for caro." in words
    assert "less than once in" in words
    assert "extremely strong support" in words
    assert "This says whose copy got out, not who passed it on." in words
    assert "cropped to" in words
    assert "no proof" in words


def test_page_is_well_formed_and_accessible(page: str) -> None:
    elements = Elements(page)
    assert elements.open == []
    names = [tag for tag, _ in elements.found]
    assert names.count("h1") == names.count("main") == 1
    assert all(attrs.get("alt") for tag, attrs in elements.found if tag == "img")
    assert all(attrs.get("aria-label") for tag, attrs in elements.found if tag == "svg")
    ids = [attrs["id"] for _, attrs in elements.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert ("html", {"lang": "en"}) in elements.found


def test_page_loads_and_runs_nothing(page: str) -> None:
    elements = Elements(page)
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"script", "link", "iframe", "object", "form", "a", "base"}
    for tag, attrs in elements.found:
        assert not {name for name in attrs if name.startswith("on") or name == "style"}, tag
        assert all(
            (value or "").startswith("data:image/jpeg;base64,")
            for name, value in attrs.items()
            if name in {"src", "href", "srcset"}
        )
    assert re.search(r"https?://", page) is None
    assert "url(" not in page
    assert "default-src 'none'" in html.unescape(page)


def test_names_and_file_names_are_escaped(page: str) -> None:
    assert "<b>dina" not in page
    assert "&lt;b&gt;dina &amp; co&lt;/b&gt;" in page
    assert "<file>" not in page


def test_page_holds_no_secret(leak_of_caros_copy: TracedLeak, page: str) -> None:
    (message,) = leak_of_caros_copy.device.ledger.messages()
    (sent,) = message.pictures
    for secret in (sent.dither, *(copy.seed for copy in sent.copies)):
        assert secret.reveal().hex() not in page.lower()
    assert all(copy.sha256.hex() not in page for copy in sent.copies)


def test_blind_report_keeps_only_the_names_of_named_copies(leak_of_caros_copy: TracedLeak) -> None:
    page = write_page(report_content(leak_of_caros_copy, ReportOptions(blind=True)))
    assert "copy 1" in page
    assert "caro" in page
    assert ">ben" not in page
    assert "dina" not in page


def test_pictures_are_veiled_until_tapped_or_left_out(
    leak_of_caros_copy: TracedLeak, page: str
) -> None:
    boxes = [attrs for tag, attrs in Elements(page).found if attrs.get("type") == "checkbox"]
    assert len(boxes) == 3
    assert not any("checked" in attrs for attrs in boxes)
    veiled = write_page(report_content(leak_of_caros_copy, ReportOptions(veiled=True)), veiled=True)
    assert "They are left out" in veiled
    assert len(veiled) < 0.6 * len(page)


def test_page_says_that_a_finding_of_nobody_clears_nobody(leak_of_original: TracedLeak) -> None:
    page = html.unescape(write_page(report_content(leak_of_original)))
    assert "No copy stands out" in page
    assert "clears nobody" in page
    assert "made for caro." not in page
