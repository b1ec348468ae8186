"""The report as an A4 PDF: the finding comes first, the pictures come last on separate pages."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace

from entrenous.base.language import language_of_person, translatable, translated
from entrenous.media.pdf_fonts import FONT_FAMILY, add_fonts, drawable_text
from entrenous.trace.explain.drawing import (
    ColourRole,
    Dot,
    Drawing,
    DrawnPath,
    DrawnText,
    TextAnchor,
)
from entrenous.trace.explain.report_pictures import ReportPicture, ReportPictures
from entrenous.trace.explain.sections import ReportContent
from entrenous.trace.explain.wording import (
    NOT_WHO_PASSED_IT_ON,
    how_to_check_trace,
    translated_caveats,
)

MARGIN_MM: Final = 23.0
TEXT_WIDTH_MM: Final = 210.0 - 2 * MARGIN_MM
_FOOT_MARGIN_MM: Final = 20.0
_LINE_HEIGHT_FACTOR: Final = 1.42  # times the font size
_MM_PER_POINT: Final = 25.4 / 72.0
Colour = tuple[int, int, int]
_PAPER_COLOUR: Final[Colour] = (255, 255, 255)
_INK_COLOUR: Final[Colour] = (34, 38, 43)
_SOFT_COLOUR: Final[Colour] = (86, 92, 100)
_COLOURS: Final[dict[ColourRole, Colour]] = {
    ColourRole.INK: _INK_COLOUR,
    ColourRole.SOFT: _SOFT_COLOUR,
    ColourRole.FAINT: (222, 218, 210),
    ColourRole.EXPECTED: (230, 225, 216),
    ColourRole.NAMED: (31, 95, 150),
}
_TABLE_FONT_PT: Final = 9.2
_RULE_COLOUR: Final[Colour] = (215, 210, 202)
_ANCHOR_SHIFT: Final = {TextAnchor.START: 0.0, TextAnchor.MIDDLE: 0.5, TextAnchor.END: 1.0}


@dataclass(frozen=True, slots=True)
class PdfTable:
    """A table of text cells.

    ``column_widths_mm`` has one width per column; ``bold_rows`` and ``right_aligned_columns`` are
    indices; ``first_tone`` is the colour of the first column.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    column_widths_mm: Sequence[float]
    bold_rows: Sequence[int] = ()
    right_aligned_columns: Sequence[int] = ()
    first_tone: ColourRole = ColourRole.INK


@dataclass(frozen=True, slots=True)
class PdfDocument:
    pdf: FPDF

    def start_page(self) -> None:
        self.pdf.add_page()

    def ensure_height_left(self, height_mm: float) -> None:
        """Start a new page unless this much height is left."""
        if self.pdf.will_page_break(height_mm):
            self.pdf.add_page()

    def add_gap(self, height_mm: float) -> None:
        self.pdf.set_y(self.pdf.get_y() + height_mm)

    def print_text(
        self,
        words: str,
        size: float = 10.0,
        *,
        bold: bool = False,
        tone: ColourRole = ColourRole.INK,
    ) -> None:
        """Print a paragraph without space after it."""
        self._set_font(size, bold=bold, tone=tone)
        height = size * _LINE_HEIGHT_FACTOR * _MM_PER_POINT
        self.pdf.multi_cell(
            0, height, drawable_text(self.pdf, words), align="L", new_x="LMARGIN", new_y="NEXT"
        )

    def print_heading(self, words: str) -> None:
        """Print a section heading, on a new page if too little space is left for what follows."""
        self.ensure_height_left(34.0)
        self.add_gap(7.0)
        self.print_text(words, 13.0, bold=True)
        self.add_gap(2.0)

    def print_paragraphs(self, items: Iterable[str], size: float = 10.0) -> None:
        for one in items:
            self.print_text(one, size)
            self.add_gap(2.1)

    def draw_margin_bar(self, top_mm: float) -> None:
        """Draw a bar in the margin from ``top_mm`` down to the current position."""
        self.pdf.set_fill_color(*_COLOURS[ColourRole.NAMED])
        self.pdf.rect(MARGIN_MM - 5.0, top_mm, 1.2, self.pdf.get_y() - top_mm, style="F")

    def print_facts(
        self, items: Sequence[tuple[str, str]], column_widths_mm: tuple[float, float]
    ) -> None:
        self.print_table(PdfTable((), items, column_widths_mm, first_tone=ColourRole.SOFT))

    def print_table(self, table: PdfTable) -> None:
        self._set_font(_TABLE_FONT_PT)
        self.pdf.set_draw_color(*_RULE_COLOUR)
        self.pdf.set_line_width(0.2)
        # otherwise fpdf2 fills the next cells with the last fill colour
        self.pdf.set_fill_color(*_PAPER_COLOUR)
        aligned = tuple(
            "RIGHT" if n in table.right_aligned_columns else "LEFT"
            for n in range(len(table.column_widths_mm))
        )
        with self.pdf.table(
            col_widths=table.column_widths_mm,
            width=min(TEXT_WIDTH_MM, sum(table.column_widths_mm)),
            align="LEFT",
            text_align=aligned,
            borders_layout=TableBordersLayout.HORIZONTAL_LINES if table.header else "NONE",
            first_row_as_headings=bool(table.header),
            headings_style=FontFace(emphasis="BOLD", color=_SOFT_COLOUR),
            line_height=_TABLE_FONT_PT * _LINE_HEIGHT_FACTOR * _MM_PER_POINT,
            padding=(0.9, 2.4, 0.9, 0),
            v_align="TOP",
        ) as set_table:
            if table.header:
                set_table.row([drawable_text(self.pdf, one) for one in table.header])
            for place, cells in enumerate(table.rows):
                row = set_table.row()
                emphasis = "BOLD" if place in table.bold_rows else ""
                for column, one in enumerate(cells):
                    colour = _COLOURS[table.first_tone if column == 0 else ColourRole.INK]
                    row.cell(
                        drawable_text(self.pdf, one),
                        style=FontFace(emphasis=emphasis, color=colour),
                    )

    def draw(self, drawing: Drawing, width_mm: float, left_mm: float = MARGIN_MM) -> float:
        """Draw at the current height, on a new page if too little height is left on this one.

        The current position stays at the top of the drawing.

        Returns: the drawing's height in mm.
        """
        scale = width_mm / drawing.width
        height = drawing.height * scale
        if left_mm == MARGIN_MM:
            self.ensure_height_left(height)
        top = self.pdf.get_y()
        for shape in drawing.shapes:
            if isinstance(shape, DrawnPath):
                self._draw_path(shape, left_mm, top, scale)
            elif isinstance(shape, Dot):
                self._draw_dot(shape, left_mm, top, scale)
            else:
                self._draw_text(shape, left_mm, top, scale)
        self.pdf.set_xy(MARGIN_MM, top)
        return height

    def print_picture(
        self, shown: ReportPicture, box_mm: tuple[float, float], left_mm: float, alt_text: str
    ) -> float:
        """Print a picture as large as the box allows; return its height in mm."""
        scale = min(box_mm[0] / shown.width_px, box_mm[1] / shown.height_px)
        wide, tall = shown.width_px * scale, shown.height_px * scale
        top = self.pdf.get_y()
        file = io.BytesIO(shown.jpeg)
        self.pdf.image(file, left_mm, top, wide, tall, alt_text=alt_text, title=alt_text)
        self.pdf.set_draw_color(*_RULE_COLOUR)
        self.pdf.set_line_width(0.2)
        self.pdf.rect(left_mm, top, wide, tall)
        self.pdf.set_xy(MARGIN_MM, top)
        return tall

    def print_caption(self, words: str, left_mm: float, width_mm: float) -> None:
        self._set_font(8.6, tone=ColourRole.SOFT)
        self.pdf.set_x(left_mm)
        height = 8.6 * _LINE_HEIGHT_FACTOR * _MM_PER_POINT
        self.pdf.multi_cell(
            width_mm,
            height,
            drawable_text(self.pdf, words),
            align="L",
            new_x="LMARGIN",
            new_y="NEXT",
        )

    def finish_document(self, footer: str) -> bytes:
        """Number the pages and return the file."""
        self.pdf.set_auto_page_break(auto=False)
        for number in range(1, self.pdf.pages_count + 1):
            self.pdf.page = number
            self.pdf.set_y(-14.0)
            self._set_font(1.0)  # otherwise fpdf2 may skip the next font size
            self._set_font(8.2, tone=ColourRole.SOFT)
            self.pdf.cell(TEXT_WIDTH_MM / 2, 4.0, drawable_text(self.pdf, footer), align="L")
            page = translated("page {number} of {last}").format(
                number=number, last=self.pdf.pages_count
            )
            self.pdf.cell(TEXT_WIDTH_MM / 2, 4.0, drawable_text(self.pdf, page), align="R")
        return bytes(self.pdf.output())

    def _set_font(
        self, size: float, *, bold: bool = False, tone: ColourRole = ColourRole.INK
    ) -> None:
        self.pdf.set_font(FONT_FAMILY, "B" if bold else "", size)
        self.pdf.set_text_color(*_COLOURS[tone])

    def _draw_path(self, path: DrawnPath, left: float, top: float, scale: float) -> None:
        points = [(left + x * scale, top + y * scale) for x, y in path.points]
        self.pdf.set_draw_color(*_COLOURS[path.tone])
        self.pdf.set_fill_color(*_COLOURS[path.tone])
        self.pdf.set_line_width(0.45 if path.tone is ColourRole.NAMED else 0.25)
        if path.dashed:
            self.pdf.set_dash_pattern(dash=1.1, gap=0.8)
        if len(points) > 1:
            self.pdf.polyline(points, style="F" if path.filled else "D")
        self.pdf.set_dash_pattern()

    def _draw_dot(self, dot: Dot, left: float, top: float, scale: float) -> None:
        self.pdf.set_fill_color(*_COLOURS[dot.tone])
        x, y = left + dot.at[0] * scale, top + dot.at[1] * scale
        self.pdf.circle(x, y, dot.radius * scale, style="F")

    def _draw_text(self, words: DrawnText, left: float, top: float, scale: float) -> None:
        size = words.size * scale / _MM_PER_POINT
        self._set_font(size, bold=words.tone is ColourRole.NAMED, tone=words.tone)
        text = drawable_text(self.pdf, words.text)
        wide = self.pdf.get_string_width(text)
        x = left + words.at[0] * scale - _ANCHOR_SHIFT[words.anchor] * wide
        self.pdf.set_xy(
            x - self.pdf.c_margin, top + words.at[1] * scale - 0.8 * size * _MM_PER_POINT
        )
        self.pdf.cell(wide + 2 * self.pdf.c_margin, size * _MM_PER_POINT, text)


def new_pdf_document(title: str, at: datetime, texts: str) -> PdfDocument:
    """Return an empty document.

    ``texts`` is the text by whose letters the typefaces are chosen.
    """
    pdf = FPDF(format="A4")
    pdf.set_margin(MARGIN_MM)
    pdf.set_auto_page_break(auto=True, margin=_FOOT_MARGIN_MM)
    pdf.c_margin = 0.0
    add_fonts(pdf, texts)
    pdf.set_title(title)
    pdf.set_lang(language_of_person())
    pdf.set_producer("Entrenous")
    pdf.set_creation_date(at)
    pdf.add_page()
    return PdfDocument(pdf)


_SCORE_COLUMN_WIDTHS_MM: Final = (46.0, 16.0, 27.0, 31.0, 44.0)
_SCORE_HEADER: Final = (
    *(translatable("Copy made for"), translatable("Score"), translatable("Chance")),
    *(translatable("Likelihood ratio"), translatable("Support")),
)
_FACT_NAME_COLUMN_WIDTH_MM: Final = 40.0
_PLOT_WIDTH_MM: Final = 120.0
_TONE_PLOT_WIDTH_MM: Final = 58.0
_GUTTER_MM: Final = 6.0
_HALF_WIDTH_MM: Final = (TEXT_WIDTH_MM - _GUTTER_MM) / 2


def write_pdf(content: ReportContent, *, veiled: bool = False) -> bytes:
    """Render the PDF; the same content gives the same bytes."""
    title = translated("Trace report {number}").format(number=content.number)
    document = new_pdf_document(title, content.at, _text_for_font_choice(content))
    document.print_text(title.upper(), 8.6, bold=True, tone=ColourRole.NAMED)
    _print_finding(document, content)
    if content.plot is not None:
        _print_scores(document, content, content.plot)
    if content.undone:
        _print_undone_changes(document, content)
    document.print_heading(translated("How this was found"))
    document.print_paragraphs(content.method)
    _print_limits(document)
    _print_how_to_check(document, content)
    if content.pictures is not None:
        _print_pictures(document, content.pictures, veiled=veiled)
    return document.finish_document(f"{title}, {content.made_at}")


def _print_finding(document: PdfDocument, content: ReportContent) -> None:
    document.add_gap(1.0)
    document.print_text(content.headline, 20.0, bold=True)
    document.add_gap(1.5)
    about = translated(
        "About the file {file_name}, traced on {made_at}. It answers one question: from "
        "whose copy was this file made?"
    ).format(file_name=content.file_name, made_at=content.made_at)
    document.print_text(about, 10.5, tone=ColourRole.SOFT)
    document.add_gap(6.0)
    top, page = document.pdf.get_y(), document.pdf.page
    for line, sentences in content.named:
        document.print_text(line, 12.5, bold=True)
        document.add_gap(1.2)
        document.print_paragraphs(sentences)
    for remark in content.remarks:
        document.print_text(remark, 10.5)
        document.add_gap(2.1)
    document.print_text(translated(NOT_WHO_PASSED_IT_ON), 10.0, bold=True)
    if document.pdf.page == page:
        document.draw_margin_bar(top)


def _print_scores(document: PdfDocument, content: ReportContent, plot: Drawing) -> None:
    document.print_heading(translated("How strongly each copy's mark was found"))
    document.add_gap(document.draw(plot, _PLOT_WIDTH_MM) + 1.0)
    document.print_caption(
        translated(
            "Each copy's score. The shaded area is where copies that had no part in the file "
            "score; a copy right of the dashed line is named."
        ),
        MARGIN_MM,
        TEXT_WIDTH_MM,
    )
    document.add_gap(4.0)
    rows = [(row.label, row.score, row.chance, row.ratio, row.support) for row in content.rows]
    bold_rows = [place for place, row in enumerate(content.rows) if row.named]
    document.print_table(
        PdfTable(
            tuple(map(translated, _SCORE_HEADER)),
            rows,
            _SCORE_COLUMN_WIDTHS_MM,
            bold_rows,
            right_aligned_columns=(1, 2, 3),
        )
    )
    document.add_gap(1.6)
    note = translated(
        "Bold: named. Chance: how often the best of all compared copies would score as "
        "high if none of them had a part in the file; rounded up. Likelihood ratio: how "
        "many times likelier this score is if the copy was used than if it was not; "
        "rounded down; among many copies small ones arise by accident. 1e-30 is 1 divided "
        "by 1e30, a 1 with 30 zeros."
    )
    further = f"{content.unlisted[:1].upper()}{content.unlisted[1:]} " if content.unlisted else ""
    document.ensure_height_left(16.0)
    document.print_caption(further + note, MARGIN_MM, TEXT_WIDTH_MM)


def _print_undone_changes(document: PdfDocument, content: ReportContent) -> None:
    if content.tone is None:
        document.print_heading(translated("What was found"))
        document.print_facts(
            content.undone, (_FACT_NAME_COLUMN_WIDTH_MM, TEXT_WIDTH_MM - _FACT_NAME_COLUMN_WIDTH_MM)
        )
        return
    tall = content.tone.height * _TONE_PLOT_WIDTH_MM / content.tone.width
    document.ensure_height_left(tall + 24.0)
    document.print_heading(translated("How the file was changed"))
    top = document.pdf.get_y()
    document.draw(
        content.tone, _TONE_PLOT_WIDTH_MM, MARGIN_MM + TEXT_WIDTH_MM - _TONE_PLOT_WIDTH_MM
    )
    document.print_facts(
        content.undone,
        (
            _FACT_NAME_COLUMN_WIDTH_MM,
            TEXT_WIDTH_MM - _FACT_NAME_COLUMN_WIDTH_MM - _TONE_PLOT_WIDTH_MM - _GUTTER_MM,
        ),
    )
    document.pdf.set_y(max(document.pdf.get_y(), top + tall))


def _print_limits(document: PdfDocument) -> None:
    document.print_heading(translated("What this does not say"))
    for term, words in translated_caveats():
        document.ensure_height_left(16.0)
        document.print_text(term, bold=True)
        document.print_text(words)
        document.add_gap(2.1)


def _print_how_to_check(document: PdfDocument, content: ReportContent) -> None:
    document.print_heading(translated("How to check it"))
    document.print_paragraphs([how_to_check_trace(content.number)])
    document.print_facts(
        (*content.identity, *content.versions),
        (_FACT_NAME_COLUMN_WIDTH_MM, TEXT_WIDTH_MM - _FACT_NAME_COLUMN_WIDTH_MM),
    )
    if content.pictures is not None:
        document.add_gap(2.0)
        last = document.pdf.page
        words = (
            translated("This page holds no picture and can be handed over alone.")
            if last == 1
            else translated("Pages 1 to {last} hold no picture and can be handed over alone.")
        )
        document.print_text(words.format(last=last), bold=True)


def _print_pictures(document: PdfDocument, pictures: ReportPictures, *, veiled: bool) -> None:
    document.start_page()
    document.print_text(translated("Annex: the pictures"), 16.0, bold=True)
    document.add_gap(1.0)
    if veiled:
        document.print_text(
            translated("They are left out; only their frames and colours are shown."),
            tone=ColourRole.SOFT,
        )
    document.add_gap(4.0)
    left = (
        pictures.outlined,
        translated("The original. The line goes around the part that the found file shows"),
    )
    _print_side_by_side(
        document, left, (pictures.found, translated("The found file, as it was found"))
    )
    left = (
        pictures.laid,
        translated("The found file in its place on the original. Grey: it shows nothing there"),
    )
    _print_side_by_side(
        document,
        left,
        (pictures.halves, translated("Left half: the original. Right half: the found file on it")),
    )


def _print_side_by_side(
    document: PdfDocument, one: tuple[ReportPicture, str], other: tuple[ReportPicture, str]
) -> None:
    box = (_HALF_WIDTH_MM, 96.0)
    second = MARGIN_MM + _HALF_WIDTH_MM + _GUTTER_MM
    top = document.pdf.get_y()
    tall = max(
        document.print_picture(one[0], box, MARGIN_MM, one[1]),
        document.print_picture(other[0], box, second, other[1]),
    )
    ends = []
    for (_, words), left in ((one, MARGIN_MM), (other, second)):
        document.pdf.set_y(top + tall + 1.2)
        document.print_caption(f"{words}.", left, _HALF_WIDTH_MM)
        ends.append(document.pdf.get_y())
    document.pdf.set_y(max(ends) + 5.0)


def _text_for_font_choice(content: ReportContent) -> str:
    """Return the text to choose typefaces by.

    It consists of names and labels, which may be in any script, and those parts of our own text
    that have special characters.
    """
    drawn = content.plot.shapes if content.plot else ()
    return "".join(
        (
            content.file_name,
            *(line for line, _ in content.named),
            *(row.label for row in content.rows),
            *(shape.text for shape in drawn if isinstance(shape, DrawnText)),
            *content.method,
        )
    )
