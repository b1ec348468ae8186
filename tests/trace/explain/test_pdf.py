"""Tests of the report as a PDF: pages, pictures, reproducible bytes, and arbitrary text."""

import re
import shutil
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.base.language import speaking
from entrenous.trace.explain.pdf import write_pdf
from entrenous.trace.explain.sections import (
    CopyScoreRow,
    ReportContent,
    ReportOptions,
    report_content_of_picture,
)
from tests.trace.traced_leak import TracedLeak

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def content(leak_of_caros_copy: TracedLeak) -> ReportContent:
    seen, leak, device = (
        leak_of_caros_copy.picture_trace,
        leak_of_caros_copy.leak,
        leak_of_caros_copy.device,
    )
    return report_content_of_picture(seen, leak, "found.jpg", device, ReportOptions())


def count_pages(pdf: bytes) -> int:
    """Return the number of pages; check that ``startxref`` leads to the cross-reference table."""
    start = int(pdf[pdf.rindex(b"startxref") :].split()[1])
    assert pdf[start : start + 4] == b"xref"
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf))


def test_pdf_is_complete_and_pictures_add_one_page(content: ReportContent) -> None:
    pdf = write_pdf(content)
    assert pdf.startswith(b"%PDF-1.")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert count_pages(pdf) == 4
    assert count_pages(write_pdf(replace(content, pictures=None))) == 3


def test_same_content_makes_the_same_bytes(content: ReportContent) -> None:
    assert write_pdf(content) == write_pdf(content)


@pytest.mark.parametrize(
    "name",
    ["Łukasz", "דנה", "محمد", "王小明", "dan\U0001f642", "x" * 200, "a\u0301" * 40, "\u202eabc"],
)
def test_any_name_can_be_printed(content: ReportContent, name: str) -> None:
    row = CopyScoreRow(name, "12.0", "1e-9", "1e9", "extremely strong support", named=True)
    named = ((f"Its hidden marks fit the copy made for {name}.", ["Chance."]),)
    assert count_pages(write_pdf(replace(content, rows=(row,), named=named, pictures=None))) >= 3


@settings(max_examples=8)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_no_text_breaks_the_pdf(content: ReportContent, name: str) -> None:
    row = CopyScoreRow(name, "1.0", "1", "below 2", "not named", named=False)
    short = replace(content, rows=(row,), file_name=name, pictures=None, tone=None)
    assert count_pages(write_pdf(replace(short, method=(), undone=(), plot=None))) >= 2


def test_pictures_are_only_on_the_fourth_page(content: ReportContent) -> None:
    painted = [
        number
        for number, page in enumerate(page_contents(write_pdf(content)), 1)
        if re.search(rb"/I\d+ Do", page)
    ]
    assert painted == [4]


def page_contents(pdf: bytes) -> list[bytes]:
    """Decompress the content streams that show text; return them in the order of the file."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    plain = []
    for one in streams:
        try:
            plain.append(zlib.decompress(one))
        except zlib.error:
            continue
    return [one for one in plain if b" Tf" in one[:4000] or b"BT" in one[:4000]]


def pages_as_text(pdf: bytes, folder: Path) -> list[str]:
    """Return the text of each page as pdftotext reads it; skip the test if it is missing."""
    program = shutil.which("pdftotext")
    if program is None:
        pytest.skip("pdftotext is missing: it is in Debian's poppler-utils")
    (folder / "trace.pdf").write_bytes(pdf)
    run = subprocess.run(
        (program, "-layout", "trace.pdf", "-"), cwd=folder, capture_output=True, check=True
    )
    return run.stdout.decode().split("\f")


@pytest.mark.real
def test_pdftotext_finds_the_text_on_each_page(content: ReportContent, tmp_path: Path) -> None:
    first, *others = pages_as_text(write_pdf(content), tmp_path)
    assert "TRACE REPORT" in first
    assert "Its hidden marks fit the copy made for caro." in first
    assert "page 1 of 4" in first
    assert "Pages 1 to 3 hold no picture" in others[1]
    assert "Annex: the pictures" in others[2]


@pytest.mark.real
def test_heading_and_page_numbers_are_in_the_persons_language(
    content: ReportContent, tmp_path: Path
) -> None:
    with speaking("de"):
        first, *_ = pages_as_text(write_pdf(content), tmp_path)
    assert "BERICHT ZUR SUCHE" in first
    assert "Seite 1 von" in first
    assert "TRACE REPORT" not in first
    assert "page 1" not in first
