"""The lessons as a static site, and each lesson as a sheet to print: a PDF of one page, A4 or
Letter.

Both are in the person's language. The pages of the site run no script and load nothing.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from enum import StrEnum
from importlib.resources import as_file, files
from typing import Final

import jinja2
from fpdf import FPDF
from fpdf.fonts import TTFFont

from entrenous import base
from entrenous.base.language import current_catalogue, day_in_words, language_of_person, translated
from entrenous.crypto.hashing import sha256
from entrenous.learn.lesson import Lesson
from entrenous.learn.markdown import Block, BlockKind, TextSpan, markdown_as_html

INDEX_FILE_NAME: Final = "index.html"


class PaperSize(StrEnum):
    A4 = "a4"
    LETTER = "letter"


_FONT_FAMILY: Final = "sans"
_FONT_FILES: Final = {"": "LiberationSans-Regular.ttf", "B": "LiberationSans-Bold.ttf"}
_MARGIN_MM: Final = 18.0
_INDENT_MM: Final = 6.0
_MM_PER_POINT: Final = 25.4 / 72.0
_LINE_HEIGHT_FACTOR: Final = 1.32  # times the font size
# the largest size at which a lesson fits on a page is used
_FONT_SIZES_PT: Final = (11.5, 11.0, 10.5, 10.0, 9.5, 9.0, 8.5, 8.0)
_SMALL_FONT_FACTOR: Final = 0.8
_TEXT_COLOUR: Final = (34, 38, 43)
_SECONDARY_COLOUR: Final = (86, 92, 100)
_HEADING_COLOUR: Final = (31, 95, 150)


class LessonTooLong(ValueError):
    """A lesson does not fit on one page even at the smallest font size."""


def site_files(lessons: Sequence[Lesson]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of every file: an index and, for each lesson, a page and one
    printable sheet per paper size. The same lessons give the same bytes.
    """
    yield INDEX_FILE_NAME, _render_page("index.html.j2", lessons=lessons)
    for position, lesson in enumerate(lessons):
        yield (
            f"{lesson.name}.html",
            _render_page(
                "lesson.html.j2",
                lesson=lesson,
                body=markdown_as_html(lesson.text),
                sheets={paper.name.title(): sheet_file_name(lesson, paper) for paper in PaperSize},
                before=lessons[position - 1] if position else None,
                after=lessons[position + 1] if position + 1 < len(lessons) else None,
            ),
        )
        for paper in PaperSize:
            yield sheet_file_name(lesson, paper), render_lesson_sheet(lesson, paper)


def sheet_file_name(lesson: Lesson, paper: PaperSize) -> str:
    return f"{lesson.name}-{paper.value}.pdf"


def _render_page(template: str, **shown: object) -> bytes:
    """Render one page. A ``body`` comes from our own Markdown renderer, which has escaped it."""
    style = _read_asset("style.css")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_read_asset),
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(current_catalogue(), newstyle=True)  # type: ignore[attr-defined]
    text = environment.get_template(template).render(
        style=style,
        policy=_content_security_policy(style),
        language=language_of_person(),
        day_in_words=day_in_words,
        **shown,
    )
    return f"{text}\n".encode()


def _content_security_policy(style: str) -> str:
    """Return a content security policy that lets nothing run or load. The style sheet is allowed by
    its hash.
    """
    digest = base64.b64encode(sha256(style.encode())).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _read_asset(name: str) -> str:
    return files("entrenous.learn").joinpath("site", name).read_text(encoding="utf-8")


def render_lesson_sheet(lesson: Lesson, paper: PaperSize) -> bytes:
    """Render a lesson on one page. The same lesson gives the same bytes. Raises LessonTooLong."""
    for size in _FONT_SIZES_PT:
        sheet = _LessonSheet(lesson, paper, size)
        try:
            if sheet.pdf.pages_count == 1:
                return bytes(sheet.pdf.output())
        finally:
            sheet.close()
    raise LessonTooLong(lesson.name)


class _LessonSheet:
    """One lesson typeset at one size, on as many pages as it needs."""

    def __init__(self, lesson: Lesson, paper: PaperSize, size: float) -> None:
        self.pdf = _empty_pdf(lesson, paper)
        self._size = size
        self._add_text(lesson.title, size * 1.6, bold=True)
        self._add_text(
            translated("This closes: {closes}.").format(closes=lesson.closes),
            size,
            colour=_SECONDARY_COLOUR,
        )
        self._add_gap(0.4)
        for before, block in zip([None, *lesson.blocks], lesson.blocks, strict=False):
            if before is not None and _needs_gap_between(before, block):
                self._add_gap(0.3)
            self._add_block(block)
        self._add_section(translated("One thing to try"), lesson.try_now)
        self._add_text(
            translated("To undo it: {undo}").format(undo=lesson.undo),
            size,
            colour=_SECONDARY_COLOUR,
        )
        self._add_section(translated("One question"), lesson.question.ask)
        for number, choice in enumerate(lesson.question.choices, 1):
            self._add_block(Block(BlockKind.NUMBERED, (TextSpan(choice),), number))
        self._add_sources(lesson)
        answer = translated("Answer to the question: {right}. {why}").format(
            right=lesson.question.right, why=lesson.question.why
        )
        self._add_gap(0.4)
        self._add_text(answer, size * _SMALL_FONT_FACTOR, colour=_SECONDARY_COLOUR)

    def _add_sources(self, lesson: Lesson) -> None:
        self._add_gap(0.6)
        for one in lesson.sources:
            words = translated("{title}. {url} (read on {day})").format(
                title=one.title, url=one.url, day=day_in_words(one.read_on)
            )
            self._add_text(words, self._size * _SMALL_FONT_FACTOR * 0.9, colour=_SECONDARY_COLOUR)

    def close(self) -> None:
        """Close the font files, which the library leaves open."""
        for face in self.pdf.fonts.values():
            if isinstance(face, TTFFont):
                face.ttfont.close()

    def _add_section(self, heading: str, text: str) -> None:
        self._add_block(Block(BlockKind.HEADING, (TextSpan(heading),)))
        self._add_text(text, self._size)

    def _add_block(self, block: Block) -> None:
        if block.kind is BlockKind.HEADING:
            self._add_gap(0.45)
            self._add_text(block.text, self._size * 1.12, bold=True, colour=_HEADING_COLOUR)
        elif block.kind is BlockKind.PARAGRAPH:
            self._add_spans(block)
        else:
            bullet = f"{block.number}." if block.kind is BlockKind.NUMBERED else "\u2022"
            self._add_list_item(bullet, block)

    def _add_list_item(self, bullet: str, block: Block) -> None:
        self._set_font(self._size)
        self.pdf.set_x(_MARGIN_MM)
        self.pdf.cell(_INDENT_MM, self._line_height_mm(self._size), bullet)
        self.pdf.set_left_margin(_MARGIN_MM + _INDENT_MM)
        self._add_spans(block)
        self.pdf.set_left_margin(_MARGIN_MM)
        self.pdf.set_x(_MARGIN_MM)

    def _add_spans(self, block: Block) -> None:
        """Typeset words line by line. Lines break only at spaces, never inside a word."""
        height, room = self._line_height_mm(self._size), self.pdf.w - self.pdf.r_margin
        for pieces in _words_of_block(block):
            wide = sum(self._select_font_and_measure(piece) for piece in pieces)
            if self.pdf.get_x() + wide > room and self.pdf.get_x() > self.pdf.l_margin:
                self.pdf.ln(height)
            for piece in pieces:
                self.pdf.cell(self._select_font_and_measure(piece), height, piece.text)
            self._set_font(self._size)
            self.pdf.cell(self.pdf.get_string_width(" "), height, " ")
        self.pdf.ln(height)

    def _select_font_and_measure(self, piece: TextSpan) -> float:
        """Return the width of a piece in mm. The font of the piece remains selected."""
        self._set_font(self._size, bold=piece.strong or piece.code)
        return float(self.pdf.get_string_width(piece.text))

    def _add_text(
        self,
        words: str,
        size: float,
        *,
        bold: bool = False,
        colour: tuple[int, int, int] = _TEXT_COLOUR,
    ) -> None:
        self._set_font(size, bold=bold, colour=colour)
        self.pdf.multi_cell(
            0, self._line_height_mm(size), words, align="L", new_x="LMARGIN", new_y="NEXT"
        )

    def _set_font(
        self, size: float, *, bold: bool = False, colour: tuple[int, int, int] = _TEXT_COLOUR
    ) -> None:
        self.pdf.set_font(_FONT_FAMILY, "B" if bold else "", size)
        self.pdf.set_text_color(*colour)

    def _add_gap(self, lines: float) -> None:
        self.pdf.set_y(self.pdf.get_y() + lines * self._line_height_mm(self._size))

    @staticmethod
    def _line_height_mm(size: float) -> float:
        return size * _LINE_HEIGHT_FACTOR * _MM_PER_POINT


def _needs_gap_between(before: Block, block: Block) -> bool:
    """Return whether there has to be a gap between two blocks. A heading brings its own gap."""
    is_text = BlockKind.HEADING not in {before.kind, block.kind}
    return is_text and (before.kind is not block.kind or block.kind is BlockKind.PARAGRAPH)


def _words_of_block(block: Block) -> list[list[TextSpan]]:
    """Return the words of a block; a word has several pieces if its font changes."""
    words = [list[TextSpan]()]
    for span in block.spans:
        for part in re.findall(r"\s+|\S+", span.text):
            if part.isspace():
                words.append([])
            else:
                words[-1].append(replace(span, text=part))
    return [word for word in words if word]


def _empty_pdf(lesson: Lesson, paper: PaperSize) -> FPDF:
    pdf = FPDF(format=paper.value)
    pdf.set_margin(_MARGIN_MM)
    pdf.set_auto_page_break(auto=True, margin=_MARGIN_MM * 0.7)
    pdf.c_margin = 0.0
    for style, name in _FONT_FILES.items():
        with as_file(files(base) / "fonts" / name) as face:
            pdf.add_font(_FONT_FAMILY, style, face)
    pdf.set_title(lesson.title)
    pdf.set_lang(language_of_person())
    pdf.set_producer("Entrenous")
    newest = max(one.read_on for one in lesson.sources)
    pdf.set_creation_date(datetime.combine(newest, time(), UTC))
    pdf.add_page()
    return pdf
