"""Letters for the PDF: one typeface that comes with the program, others where the system has them.

Names are people's own and may be in any script. What no typeface at hand can show is written as its
code point, "[U+6F22]", so that nothing disappears unseen. Hebrew and Arabic are put into reading
order (Unicode's UAX #9); Arabic letters stay in their single form.
"""

import logging
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from fpdf import FPDF
from fpdf.bidi import BidiParagraph
from fpdf.fonts import TTFFont

FAMILY: Final = "sans"
_OURS: Final = {"": "LiberationSans-Regular.ttf", "B": "LiberationSans-Bold.ttf"}
# One typeface for many scripts each, where systems keep it; only looked for when it is needed.
_SYSTEMS: Final = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/truetype/unifont/unifont.ttf",
    "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
    "C:/Windows/Fonts/arial.ttf",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/malgun.ttf",
    "C:/Windows/Fonts/Nirmala.ttf",
)
_RIGHT_TO_LEFT: Final = {"R", "AL"}


def add_letters(pdf: FPDF, texts: str) -> None:
    """Load the typefaces that ``texts`` need; all texts of a PDF in one string."""
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it tells of each table it leaves out
    for style, name in _OURS.items():
        with as_file(files("entrenous.trace.explain") / "fonts" / name) as ours:
            pdf.add_font(FAMILY, style, ours)
    missing = _missing(pdf, texts)
    others = []
    for number, place in enumerate(_SYSTEMS):
        if missing and Path(place).is_file():
            # a typeface of the system's may be of a kind that can't be embedded; do without
            with suppress(Exception):
                pdf.add_font(f"other{number}", "", place)
                others.append(f"other{number}")
                pdf.set_fallback_fonts(others, exact_match=False)
                missing = _missing(pdf, texts)


def seen(pdf: FPDF, text: str) -> str:
    """``text`` as it can be set: what has no letter as its code point, all in reading order."""
    shown = "".join(_shown(char, pdf) for char in unicodedata.normalize("NFC", text))
    if any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in shown):
        return BidiParagraph(text=shown).get_reordered_string()
    return shown


def _shown(char: str, pdf: FPDF) -> str:
    if char == "\n" or any(ord(char) in face.cmap for face in _faces(pdf)):
        return char
    return f"[U+{ord(char):04X}]"


def _missing(pdf: FPDF, texts: str) -> set[int]:
    return {ord(char) for char in unicodedata.normalize("NFC", texts) if ord(char) > 31} - {
        code for face in _faces(pdf) for code in face.cmap
    }


def _faces(pdf: FPDF) -> Iterator[TTFFont]:
    return (face for face in pdf.fonts.values() if isinstance(face, TTFFont))
