"""The cover sheet (a PDF) and the README of a pack: both say what the pack contains and proves.

Neither contains the person's own words, the address of a sighting, or a picture.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

from entrenous import base
from entrenous.respond.nouns import EvidenceItem, Stamp

if TYPE_CHECKING:
    from fpdf import FPDF


@dataclass(frozen=True, slots=True)
class PackSummary:
    """The data of a cover sheet. ``tree`` is the Merkle root over the custody chain, and ``links``
    is the number of links in the chain; in a pack for a platform, they are None and 0.
    """

    case: str
    for_court: bool
    packed_at: datetime
    items: tuple[EvidenceItem, ...]
    stamps: tuple[Stamp, ...]
    letters: int
    sightings: int
    tree: str | None
    links: int


CoverSections = tuple[tuple[str, tuple[str, ...]], ...]
_TIME_FORMAT: Final = "%d %B %Y, %H:%M:%S UTC"
_WHAT_IT_PROVES: Final = """
Each item is the one whose salted hash is listed: SHA-256 over the 32 bytes of its salt and the item
itself.

A stamp proves that the items that it covers, and the chain of custody up to the entry that it
names, existed by the time that it states. It is signed by an authority that is not the person who
made this pack.

The chain of custody tells who stored, read and handed over what, when and why. No entry before the
last stamp can be changed, taken out or put in without breaking the chain.
"""
_WHAT_IT_DOES_NOT_PROVE: Final = """
It does not prove that what a picture or a page shows is real, or who made it.

It does not prove a time for items or entries that no stamp covers. Those rest on the word of the
person and on the list of files alone.

The list of files shows any change after the pack was made. Somebody who makes a whole new pack
makes a new list too: compare the fingerprint with the one that the person gives you by another way.

The certificates in the pack came with it. Compare their SHA-256 with what each authority publishes,
or check with your own: --ca FILE.
"""
_HOW_TO_CHECK: Final = """
1. sha256sum -c SHA256SUMS

2. python3 -I verify.py (Python 3.11 or newer with the package cryptography; 300 lines, which you
can read first)

3. openssl ts -verify -in stamps/1.tsr -data stamps/1.json -CAfile stamps/1.pem (for each stamp)

The fingerprint of the pack is printed by: sha256sum SHA256SUMS
"""
_ITEMS_NOT_INCLUDED_TEXT: Final = (
    "The items themselves are not in this pack, and nobody needs to see them to act on it. Their "
    "salts stay with the person, so the hashes tell nothing about a picture."
)


def summary_sections(summary: PackSummary) -> CoverSections:
    """Return the headings and paragraphs of a cover sheet, in order."""
    return (
        ("What is in it", tuple(_contents_paragraphs(summary))),
        ("What it proves", _paragraphs(_WHAT_IT_PROVES)[: 3 if summary.for_court else 2]),
        ("What it does not prove", _paragraphs(_WHAT_IT_DOES_NOT_PROVE)),
        ("How to check it yourself", _paragraphs(_HOW_TO_CHECK)),
    )


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(one.split()) for one in text.strip().split("\n\n"))


def cover_title(summary: PackSummary) -> str:
    recipient = "a court or the police" if summary.for_court else "a platform"
    return f"Evidence of {summary.case}, for {recipient}"


def readme_text(summary: PackSummary) -> str:
    """Return the README as text with a final line end."""
    parts = [cover_title(summary), f"Made on {summary.packed_at.strftime(_TIME_FORMAT)}."]
    for heading, paragraphs in summary_sections(summary):
        parts += [f"{heading}\n{'-' * len(heading)}", *paragraphs]
    return "\n\n".join(parts) + "\n"


def _contents_paragraphs(summary: PackSummary) -> Iterator[str]:
    for item in summary.items:
        at = item.added_at.strftime(_TIME_FORMAT)
        level = f"{item.level.value}, {item.level.proves}"
        # With its exact size, somebody who has a picture could tell whether it is the item.
        size = f", {item.size_bytes} bytes" if summary.for_court else ""
        yield f"Item {item.number}: {level}. Stored on {at}{size}."
    if not summary.for_court:
        yield _ITEMS_NOT_INCLUDED_TEXT
    for number, stamp in enumerate(summary.stamps, start=1):
        yield f"Stamp {number}: {stamp.at.strftime(_TIME_FORMAT)}, by {stamp.authority_url}."
    if not summary.stamps:
        yield "No stamp: nothing in this pack proves a time."
    if summary.tree is not None:
        yield (
            f"Chain of custody: {summary.links} entries. Root of the tree over them (RFC 6962): "
            f"{summary.tree}"
        )
    yield f"Letters: {summary.letters}. Places where it was seen: {summary.sightings}."


_MARGIN_MM: Final = 20.0
_FONT_FAMILY: Final = "sans"
_FONT_FILES: Final = {"": "LiberationSans-Regular.ttf", "B": "LiberationSans-Bold.ttf"}


def render_cover_sheet(summary: PackSummary) -> bytes:
    """Render the cover sheet as an A4 PDF. The same summary always gives the same bytes."""
    from fpdf import FPDF  # noqa: PLC0415 - takes half a second

    pdf = FPDF(format="A4")
    pdf.set_margin(_MARGIN_MM)
    pdf.set_auto_page_break(auto=True, margin=_MARGIN_MM)
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it logs skipped tables
    for style, name in _FONT_FILES.items():
        with as_file(files(base) / "fonts" / name) as face:
            pdf.add_font(_FONT_FAMILY, style, face)
    pdf.set_title(cover_title(summary))
    pdf.set_lang("en-GB")
    pdf.set_producer("Entrenous")
    pdf.set_creation_date(summary.packed_at)
    pdf.add_page()
    _write_paragraph(pdf, cover_title(summary), 16.0, bold=True)
    _write_paragraph(pdf, f"Made on {summary.packed_at.strftime(_TIME_FORMAT)}.", 9.5)
    for heading, paragraphs in summary_sections(summary):
        pdf.ln(2.5)
        _write_paragraph(pdf, heading, 12.0, bold=True)
        for one in paragraphs:
            _write_paragraph(pdf, one, 9.5)
    return bytes(pdf.output())


def _write_paragraph(pdf: FPDF, words: str, size: float, *, bold: bool = False) -> None:
    pdf.set_font(_FONT_FAMILY, "B" if bold else "", size)
    pdf.multi_cell(0, size * 0.5, words, align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(1.2)
