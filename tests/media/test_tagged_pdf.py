"""Tests of tagged PDFs: tags, title, language, bookmarks, reproducible bytes, arbitrary text."""

import re
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.tagged_pdf import BlockTag, PdfBlock, write_tagged_pdf

CREATED_AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SHORT_DOCUMENT = [
    PdfBlock(BlockTag.TITLE, "A title"),
    PdfBlock(BlockTag.HEADING, "A heading"),
    PdfBlock(BlockTag.PARAGRAPH, "Some words."),
]


def write_pdf(blocks: list[PdfBlock], language: str = "de") -> bytes:
    return write_tagged_pdf("A title", language, blocks, CREATED_AT)


def page_content(pdf: bytes) -> bytes:
    """Return the uncompressed content streams that contain tagged content."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    plain = []
    for one in streams:
        try:
            plain.append(zlib.decompress(one))
        except zlib.error:
            continue
    return b"\n".join(one for one in plain if b"BDC" in one)


def test_every_block_has_its_tag_in_reading_order() -> None:
    pdf = write_pdf(SHORT_DOCUMENT)
    assert re.findall(rb"/S /(H1|H2|P)\b", pdf) == [b"H1", b"H2", b"P"]
    assert re.findall(rb"/(H1|H2|P) <</MCID (\d+)>> BDC", page_content(pdf)) == [
        (b"H1", b"0"),
        (b"H2", b"1"),
        (b"P", b"2"),
    ]


def test_all_text_is_tagged_or_an_artifact() -> None:
    marked = 0
    for line in page_content(write_pdf(SHORT_DOCUMENT)).splitlines():
        marked += line.endswith((b"BDC", b"BMC")) - (line == b"EMC")
        assert marked in {0, 1}
        assert marked or not re.search(rb"Tj|TJ", line), line


def test_title_language_and_bookmarks_are_in_the_file() -> None:
    pdf = write_pdf(SHORT_DOCUMENT)
    assert b"/Lang (de)" in pdf
    assert re.search(rb"/MarkInfo <<\s*/Marked true\s*>>", pdf)
    assert b"/DisplayDocTitle true" in pdf
    assert pdf.count(b"/Parent") >= 2
    assert b"/Outlines" in pdf


def test_the_same_text_makes_the_same_bytes() -> None:
    assert write_pdf(SHORT_DOCUMENT) == write_pdf(SHORT_DOCUMENT)


@pytest.mark.slow
def test_long_paragraph_has_a_tag_on_each_of_its_pages() -> None:
    pdf = write_pdf(
        [PdfBlock(BlockTag.TITLE, "Long"), PdfBlock(BlockTag.PARAGRAPH, "word " * 3000)]
    )
    pages = len(re.findall(rb"/Type /Page\b(?!s)", pdf))
    assert pages >= 4
    assert len(re.findall(rb"/S /P\b", pdf)) == pages
    body = page_content(pdf)
    assert body.count(b"BDC") + body.count(b"BMC") == body.count(b"EMC")


@pytest.mark.slow
@settings(max_examples=15)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_text_can_be_written(text: str) -> None:
    assert write_pdf(
        [PdfBlock(BlockTag.TITLE, "x"), PdfBlock(BlockTag.PARAGRAPH, text)]
    ).startswith(b"%PDF-1.")
