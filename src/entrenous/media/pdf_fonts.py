"""Fonts for PDFs that contain names of people in any script.

Entrenous brings its own fonts. For scripts that these lack, it uses the fonts of the system.
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

from entrenous import base

FONT_FAMILY: Final = "sans"
_OWN_FONT_FILES: Final = {"": "LiberationSans-Regular.ttf", "B": "LiberationSans-Bold.ttf"}
# System typefaces that cover many scripts. They are tried only if ours lack a letter.
_SYSTEM_FONT_FILES: Final = (
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


def add_fonts(pdf: FPDF, texts: str) -> None:
    """Load the typefaces that are needed to print the characters of ``texts``."""
    # fontTools logs every table that it skips
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    for style, name in _OWN_FONT_FILES.items():
        with as_file(files(base) / "fonts" / name) as ours:
            pdf.add_font(FONT_FAMILY, style, ours)
    missing = _missing_characters(pdf, texts)
    others = []
    for number, place in enumerate(_SYSTEM_FONT_FILES):
        if missing and Path(place).is_file():
            # some system typefaces cannot be embedded, and are skipped
            with suppress(Exception):
                pdf.add_font(f"other{number}", "", place)
                others.append(f"other{number}")
                pdf.set_fallback_fonts(others, exact_match=False)
                missing = _missing_characters(pdf, texts)


def drawable_text(pdf: FPDF, text: str) -> str:
    """Prepare ``text`` for printing, in visual order and with code points for letters that no
    typeface has.
    """
    shown = "".join(_drawable_char(char, pdf) for char in unicodedata.normalize("NFC", text))
    if any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in shown):
        return BidiParagraph(text=shown).get_reordered_string()
    return shown


def _drawable_char(char: str, pdf: FPDF) -> str:
    if char == "\n" or any(ord(char) in face.cmap for face in _loaded_faces(pdf)):
        return char
    return f"[U+{ord(char):04X}]"


def _missing_characters(pdf: FPDF, texts: str) -> set[int]:
    return {ord(char) for char in unicodedata.normalize("NFC", texts) if ord(char) > 31} - {
        code for face in _loaded_faces(pdf) for code in face.cmap
    }


def _loaded_faces(pdf: FPDF) -> Iterator[TTFFont]:
    return (face for face in pdf.fonts.values() if isinstance(face, TTFFont))
