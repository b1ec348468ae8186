"""Telephone numbers in a text, as a telephone dials them (RFC 3966)."""

import re
from dataclasses import dataclass
from typing import Final

_NUMBER_PATTERN: Final = re.compile(r"[+*#]?\d[\d .()/-]*(?:[A-Z]{2,}[A-Z-]*)?")
_DIGIT_OF_LETTER: Final = {
    letter: str(digit)
    for digit, letters in enumerate(("ABC", "DEF", "GHI", "JKL", "MNO", "PQRS", "TUV", "WXYZ"), 2)
    for letter in letters
}


@dataclass(frozen=True, slots=True)
class Telephone:
    """A number as it is written, the words beside it, and the number to dial."""

    words: str
    dialled: str

    @property
    def link(self) -> str:
        """The number as a ``tel:`` address."""
        return f"tel:{self.dialled.replace('#', '%23')}"


def telephones_in(text: str) -> tuple[Telephone, ...]:
    """Return the numbers of a text in which they are separated by semicolons.

    >>> [one.link for one in telephones_in("1-800-CALL-FBI; *212; WhatsApp 11 31-10 (daytime)")]
    ['tel:18002255324', 'tel:*212', 'tel:113110']
    """
    parts = (part.strip() for part in text.split(";"))
    found = ((part, _NUMBER_PATTERN.search(part)) for part in parts)
    return tuple(Telephone(part, _dialled_digits(match[0])) for part, match in found if match)


def _dialled_digits(number: str) -> str:
    number = number.replace("(0)", "") if number.startswith("+") else number
    before, bracket, after = number.partition("(")
    kept = number if after.partition(")")[0].strip().isdigit() else before + bracket
    keys = (_DIGIT_OF_LETTER.get(char, char) for char in kept)
    return "".join(char for char in keys if char.isdigit() or char in "+*#")
