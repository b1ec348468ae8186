"""Telephone numbers as links that dial."""

import re

import pytest

from entrenous.respond.help_lines import shipped_help_lines
from entrenous.respond.telephone import telephones_in


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("0800 22 55 530", ["tel:08002255530"]),
        ("+44 (0)345 6000 459", ["tel:+443456000459"]),
        ("1-800-843-5678 (1-800-THE-LOST)", ["tel:18008435678"]),
        ("1-888-NO-ABUSE", ["tel:18886622873"]),
        ("#8103 (sex crimes); #9110", ["tel:%238103", "tel:%239110"]),
        ("", []),
        ("only in writing", []),
    ],
)
def test_numbers_are_dialled_as_written(text: str, links: list[str]) -> None:
    assert [one.link for one in telephones_in(text)] == links


def test_every_line_with_a_telephone_can_be_called() -> None:
    for line in shipped_help_lines():
        found = telephones_in(line.phone)
        assert len(found) == len([part for part in line.phone.split(";") if part.strip()])
        assert all(re.fullmatch(r"[+*#]?\d{2,15}", one.dialled) for one in found), line.id
