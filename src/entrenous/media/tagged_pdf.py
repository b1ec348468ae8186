"""Write text as an accessible PDF (decision 0043).

The PDF has real text, a title, a language, bookmarks, and a tag on every block. fpdf2 tags only
pictures, so this module writes the tags, in fpdf2's structure tree (ISO 32000-1, 14.7 and 14.8).
The tree is flat: all headings and paragraphs are children of the document.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from fpdf import FPDF, ViewerPreferences
from fpdf.enums import MethodReturnValue

from entrenous.media.pdf_fonts import FONT_FAMILY, add_fonts, drawable_text


class BlockTag(StrEnum):
    """The structure type of a block."""

    TITLE = "H1"
    HEADING = "H2"
    PARAGRAPH = "P"


@dataclass(frozen=True, slots=True)
class PdfBlock:
    """A heading or a paragraph; ``text`` may have several lines."""

    tag: BlockTag
    text: str


_MARGIN_MM: Final = 22.0
_FOOT_MARGIN_MM: Final = 20.0
_MM_PER_POINT: Final = 25.4 / 72.0
_LINE_HEIGHT_FACTOR: Final = 1.4  # times the font size
_FONT_SIZES_PT: Final = {BlockTag.TITLE: 17.0, BlockTag.HEADING: 12.5, BlockTag.PARAGRAPH: 11.0}
_SPACE_BEFORE_MM: Final = {BlockTag.TITLE: 0.0, BlockTag.HEADING: 4.5, BlockTag.PARAGRAPH: 1.5}
_BOOKMARK_LEVELS: Final = {BlockTag.TITLE: 0, BlockTag.HEADING: 1}
# below a heading, this much space must be left, so that it is not alone at the end of a page
_KEEP_WITH_NEXT_MM: Final = 18.0


class _TaggedPdf(FPDF):
    """An FPDF that marks what it prints as a block of the structure tree, or as an artifact (not
    part of the content).
    """

    @contextmanager
    def tagged(self, tag: BlockTag) -> Iterator[None]:
        number = self.struct_builder.next_mcid_for_page(self.page)
        self._add_marked_content(struct_type=f"/{tag}", mcid=number)
        self._out(f"/{tag} <</MCID {number}>> BDC")
        yield
        self._out("EMC")

    def footer(self) -> None:
        """Print the page's number as an artifact, which screen readers leave out."""
        self._out("/Artifact BMC")
        self.set_y(-14.0)
        self.set_font(FONT_FAMILY, "", 8.5)
        self.cell(0, 4.0, f"{self.page_no()} / {{nb}}", align="R")
        self._out("EMC")


def write_tagged_pdf(title: str, language: str, blocks: Sequence[PdfBlock], at: datetime) -> bytes:
    """Write an A4 PDF; the same arguments give the same bytes.

    Args:
        title: the title that a viewer shows for its window, and that a screen reader reads.
        language: an IETF tag.
        blocks: the headings and paragraphs, in reading order.
        at: the time that is stored in the file as its creation time.
    """
    pdf = _TaggedPdf(format="A4")
    pdf.set_margin(_MARGIN_MM)
    pdf.set_auto_page_break(auto=False, margin=_FOOT_MARGIN_MM)
    add_fonts(pdf, "".join(block.text for block in blocks))
    pdf.set_title(title)
    pdf.set_lang(language)
    pdf.set_producer("Entrenous")
    pdf.set_creation_date(at)
    pdf.viewer_preferences = ViewerPreferences(display_doc_title=True)
    pdf.add_page()
    for block in blocks:
        _print_block(pdf, block)
    return bytes(pdf.output())


def _print_block(pdf: _TaggedPdf, block: PdfBlock) -> None:
    """Print a block.

    A block that does not fit on the page is continued on the next one, as a new block of its kind.
    """
    height = _FONT_SIZES_PT[block.tag] * _LINE_HEIGHT_FACTOR * _MM_PER_POINT
    pdf.set_font(
        FONT_FAMILY, "" if block.tag is BlockTag.PARAGRAPH else "B", _FONT_SIZES_PT[block.tag]
    )
    lines = _wrap_lines(pdf, block, height)
    pdf.set_y(pdf.get_y() + _SPACE_BEFORE_MM[block.tag])
    if _room_left(pdf) < height * min(len(lines), 3) + _height_kept_with_next(block):
        pdf.add_page()
    if block.tag in _BOOKMARK_LEVELS:
        pdf.start_section(block.text, level=_BOOKMARK_LEVELS[block.tag])
    while lines:
        fits = max(1, int(_room_left(pdf) // height))
        with pdf.tagged(block.tag):
            for line in lines[:fits]:
                pdf.cell(0, height, line, new_x="LMARGIN", new_y="NEXT")
        lines = lines[fits:]
        if lines:
            pdf.add_page()


def _wrap_lines(pdf: _TaggedPdf, block: PdfBlock, height: float) -> list[str]:
    lines = pdf.multi_cell(
        0,
        height,
        drawable_text(pdf, block.text),
        align="L",
        dry_run=True,
        output=MethodReturnValue.LINES,
    )
    if not isinstance(lines, list):
        raise TypeError("fpdf2 returns the lines of a dry run as a list")
    return lines


def _room_left(pdf: _TaggedPdf) -> float:
    return float(pdf.h - _FOOT_MARGIN_MM - pdf.get_y())


def _height_kept_with_next(block: PdfBlock) -> float:
    return _KEEP_WITH_NEXT_MM if block.tag in _BOOKMARK_LEVELS else 0.0
