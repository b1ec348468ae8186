"""Paper to set a report on: headings, paragraphs, tables, drawings and pictures on A4 pages."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace

from entrenous.trace.explain.drawing import Anchor, Dot, Drawing, Path, Tone, Words
from entrenous.trace.explain.letters import FAMILY, add_letters, seen
from entrenous.trace.explain.pictures import Shown

MARGIN_MM: Final = 23.0
WIDTH_MM: Final = 210.0 - 2 * MARGIN_MM
_FOOT_MM: Final = 20.0
_LINE: Final = 1.42  # of the letters' size
_POINT_MM: Final = 25.4 / 72.0
Colour = tuple[int, int, int]
_PAPER: Final[Colour] = (255, 255, 255)
_INK: Final[Colour] = (34, 38, 43)
_SOFT: Final[Colour] = (86, 92, 100)
_COLOURS: Final[dict[Tone, Colour]] = {
    Tone.INK: _INK,
    Tone.SOFT: _SOFT,
    Tone.FAINT: (222, 218, 210),
    Tone.NULL: (230, 225, 216),
    Tone.NAMED: (31, 95, 150),
}
_TABLE_SIZE: Final = 9.2
_RULE: Final[Colour] = (215, 210, 202)
_SHIFT: Final = {Anchor.START: 0.0, Anchor.MIDDLE: 0.5, Anchor.END: 1.0}


@dataclass(frozen=True, slots=True)
class Table:
    """A table: ``wide`` in mm, ``strong`` rows in bold, ``numbers`` columns set to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    wide: Sequence[float]
    strong: Sequence[int] = ()
    numbers: Sequence[int] = ()
    first: Tone = Tone.INK


@dataclass(frozen=True, slots=True)
class Sheet:
    """Pages that fill from top to bottom."""

    pdf: FPDF

    def page(self) -> None:
        """Go on on a new page."""
        self.pdf.add_page()

    def room(self, height_mm: float) -> None:
        """Go on on a new page unless so much is left of this one."""
        if self.pdf.will_page_break(height_mm):
            self.pdf.add_page()

    def gap(self, height_mm: float) -> None:
        """Leave some space."""
        self.pdf.set_y(self.pdf.get_y() + height_mm)

    def text(
        self, words: str, size: float = 10.0, *, bold: bool = False, tone: Tone = Tone.INK
    ) -> None:
        """A paragraph, without space after it."""
        self._letters(size, bold=bold, tone=tone)
        height = size * _LINE * _POINT_MM
        self.pdf.multi_cell(
            0, height, seen(self.pdf, words), align="L", new_x="LMARGIN", new_y="NEXT"
        )

    def heading(self, words: str) -> None:
        """A section's heading; it stays with what follows."""
        self.room(34.0)
        self.gap(7.0)
        self.text(words, 13.0, bold=True)
        self.gap(2.0)

    def paragraphs(self, several: Iterable[str], size: float = 10.0) -> None:
        """Paragraphs with space after each."""
        for one in several:
            self.text(one, size)
            self.gap(2.1)

    def bar(self, top_mm: float) -> None:
        """A line in the margin beside what was set since ``top_mm``, on this page."""
        self.pdf.set_fill_color(*_COLOURS[Tone.NAMED])
        self.pdf.rect(MARGIN_MM - 5.0, top_mm, 1.2, self.pdf.get_y() - top_mm, style="F")

    def facts(self, several: Sequence[tuple[str, str]], wide: tuple[float, float]) -> None:
        """Terms and what is known of each, in two columns."""
        self.table(Table((), several, wide, first=Tone.SOFT))

    def table(self, table: Table) -> None:
        """A table from here on; its head is repeated on every page."""
        self._letters(_TABLE_SIZE)
        self.pdf.set_draw_color(*_RULE)
        self.pdf.set_line_width(0.2)
        self.pdf.set_fill_color(*_PAPER)  # fpdf2 paints cells with whatever was filled last
        aligned = tuple("RIGHT" if n in table.numbers else "LEFT" for n in range(len(table.wide)))
        with self.pdf.table(
            col_widths=table.wide,
            width=min(WIDTH_MM, sum(table.wide)),
            align="LEFT",
            text_align=aligned,
            borders_layout=TableBordersLayout.HORIZONTAL_LINES if table.head else "NONE",
            first_row_as_headings=bool(table.head),
            headings_style=FontFace(emphasis="BOLD", color=_SOFT),
            line_height=_TABLE_SIZE * _LINE * _POINT_MM,
            padding=(0.9, 2.4, 0.9, 0),
            v_align="TOP",
        ) as set_table:
            if table.head:
                set_table.row([seen(self.pdf, one) for one in table.head])
            for place, cells in enumerate(table.rows):
                row = set_table.row()
                emphasis = "BOLD" if place in table.strong else ""
                for column, one in enumerate(cells):
                    colour = _COLOURS[table.first if column == 0 else Tone.INK]
                    row.cell(seen(self.pdf, one), style=FontFace(emphasis=emphasis, color=colour))

    def drawing(self, drawing: Drawing, width_mm: float, left_mm: float = MARGIN_MM) -> float:
        """A drawing from here on; returns its height in mm and leaves the place as it was."""
        scale = width_mm / drawing.width
        height = drawing.height * scale
        if left_mm == MARGIN_MM:
            self.room(height)
        top = self.pdf.get_y()
        for shape in drawing.shapes:
            if isinstance(shape, Path):
                self._path(shape, left_mm, top, scale)
            elif isinstance(shape, Dot):
                self._dot(shape, left_mm, top, scale)
            else:
                self._words(shape, left_mm, top, scale)
        self.pdf.set_xy(MARGIN_MM, top)
        return height

    def picture(
        self, shown: Shown, box_mm: tuple[float, float], left_mm: float, said: str
    ) -> float:
        """A picture with its top here, as large as fits the box; returns its height in mm."""
        scale = min(box_mm[0] / shown.width_px, box_mm[1] / shown.height_px)
        wide, tall = shown.width_px * scale, shown.height_px * scale
        top = self.pdf.get_y()
        file = io.BytesIO(shown.jpeg)
        self.pdf.image(file, left_mm, top, wide, tall, alt_text=said, title=said)
        self.pdf.set_draw_color(*_RULE)
        self.pdf.set_line_width(0.2)
        self.pdf.rect(left_mm, top, wide, tall)
        self.pdf.set_xy(MARGIN_MM, top)
        return tall

    def caption(self, words: str, left_mm: float, width_mm: float) -> None:
        """A few words under a picture or a drawing."""
        self._letters(8.6, tone=Tone.SOFT)
        self.pdf.set_x(left_mm)
        height = 8.6 * _LINE * _POINT_MM
        self.pdf.multi_cell(
            width_mm, height, seen(self.pdf, words), align="L", new_x="LMARGIN", new_y="NEXT"
        )

    def finish(self, running: str) -> bytes:
        """Number the pages and give out the file."""
        self.pdf.set_auto_page_break(auto=False)
        for number in range(1, self.pdf.pages_count + 1):
            self.pdf.page = number
            self.pdf.set_y(-14.0)
            self._letters(1.0)  # a size that no page ends with, so that the next one is written out
            self._letters(8.2, tone=Tone.SOFT)
            self.pdf.cell(WIDTH_MM / 2, 4.0, seen(self.pdf, running), align="L")
            of = f"page {number} of {self.pdf.pages_count}"
            self.pdf.cell(WIDTH_MM / 2, 4.0, of, align="R")
        return bytes(self.pdf.output())

    def _letters(self, size: float, *, bold: bool = False, tone: Tone = Tone.INK) -> None:
        self.pdf.set_font(FAMILY, "B" if bold else "", size)
        self.pdf.set_text_color(*_COLOURS[tone])

    def _path(self, path: Path, left: float, top: float, scale: float) -> None:
        points = [(left + x * scale, top + y * scale) for x, y in path.points]
        self.pdf.set_draw_color(*_COLOURS[path.tone])
        self.pdf.set_fill_color(*_COLOURS[path.tone])
        self.pdf.set_line_width(0.45 if path.tone is Tone.NAMED else 0.25)
        if path.dashed:
            self.pdf.set_dash_pattern(dash=1.1, gap=0.8)
        if len(points) > 1:
            self.pdf.polyline(points, style="F" if path.filled else "D")
        self.pdf.set_dash_pattern()

    def _dot(self, dot: Dot, left: float, top: float, scale: float) -> None:
        self.pdf.set_fill_color(*_COLOURS[dot.tone])
        x, y = left + dot.at[0] * scale, top + dot.at[1] * scale
        self.pdf.circle(x, y, dot.radius * scale, style="F")

    def _words(self, words: Words, left: float, top: float, scale: float) -> None:
        size = words.size * scale / _POINT_MM
        self._letters(size, bold=words.tone is Tone.NAMED, tone=words.tone)
        text = seen(self.pdf, words.text)
        wide = self.pdf.get_string_width(text)
        x = left + words.at[0] * scale - _SHIFT[words.anchor] * wide
        self.pdf.set_xy(x - self.pdf.c_margin, top + words.at[1] * scale - 0.8 * size * _POINT_MM)
        self.pdf.cell(wide + 2 * self.pdf.c_margin, size * _POINT_MM, text)


def new_sheet(title: str, at: datetime, texts: str) -> Sheet:
    """An empty sheet. ``texts``: everything that will be set on it, to know which letters."""
    pdf = FPDF(format="A4")
    pdf.set_margin(MARGIN_MM)
    pdf.set_auto_page_break(auto=True, margin=_FOOT_MM)
    pdf.c_margin = 0.0
    add_letters(pdf, texts)
    pdf.set_title(title)
    pdf.set_lang("en-GB")
    pdf.set_producer("Entrenous")
    pdf.set_creation_date(at)
    pdf.add_page()
    return Sheet(pdf)
