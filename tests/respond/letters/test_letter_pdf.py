"""Tests of letters as PDFs: elements, title, tags, headings, and absence of pictures.

``make test`` checks the elements of some letters, ``make nightly`` those of all letters.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from entrenous.respond.letters.draft import draft_notice, render_notice_pdf
from entrenous.respond.letters.wordings import LETTER_LANGUAGES
from tests.respond.letters.letter_cases import DRAFTED_AT, LETTER_ROUTES, full_case
from tests.sizes import size

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("pdftotext") is None, reason="apt install poppler-utils"),
]


def text_of_pdf(pdf: Path) -> str:
    """Return the text of a PDF without whitespace, so that line breaks do not matter."""
    run = subprocess.run(["pdftotext", "-enc", "UTF-8", pdf, "-"], capture_output=True, check=True)
    return "".join(run.stdout.decode().split())


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
def test_pdftotext_finds_every_element(language: str, tmp_path: Path) -> None:
    element_count, offset, case = 0, LETTER_LANGUAGES.index(language), full_case()
    for route in size(LETTER_ROUTES[offset :: 3 * len(LETTER_LANGUAGES)], LETTER_ROUTES):
        notice = draft_notice(case, route, DRAFTED_AT, language=language)
        file = tmp_path / f"{route.id}.pdf"
        file.write_bytes(render_notice_pdf(notice))
        text = text_of_pdf(file)
        for element in notice.elements:
            for line in element.text.splitlines():
                assert "".join(line.split()) in text, (route.id, line)
            element_count += 1
        assert "".join(notice.parts[0].heading.split()) in text
    assert element_count >= size(10, 190)


def test_pdf_has_a_title_tags_headings_and_no_picture(tmp_path: Path) -> None:
    route = next(route for route in LETTER_ROUTES if route.id == "de-stgb-201a")
    file = tmp_path / "anzeige.pdf"
    file.write_bytes(render_notice_pdf(draft_notice(full_case(), route, DRAFTED_AT)))
    info = subprocess.run(["pdfinfo", file], capture_output=True, check=True).stdout.decode()
    assert "Title:           Anzeige bei der Polizei: § 201a" in info
    assert "Tagged:          yes" in info
    images = subprocess.run(["pdfimages", "-list", file], capture_output=True, check=True).stdout
    assert len(images.splitlines()) == 2  # the two header lines of an empty list
    tags = subprocess.run(["pdfinfo", "-struct-text", file], capture_output=True, check=True)
    assert b"H1" in tags.stdout
    assert b"H2" in tags.stdout
