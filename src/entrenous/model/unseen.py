"""Characters that nobody sees: two names that differ by them alone look the same.

Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt of Unicode 15.1, unassigned ones
included), and the Braille pattern without a dot, which is drawn as a gap.
"""

from typing import Final

_IGNORABLE: Final = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164)),
    *((0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8)),
    *((0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
_BRAILLE_BLANK: Final = 0x2800
_UNSEEN: Final = dict.fromkeys(
    (_BRAILLE_BLANK, *(code for low, high in _IGNORABLE for code in range(low, high + 1)))
)
#: Drawn as a gap, other than the rest, which are drawn as nothing.
GAPS: Final = frozenset("\u2800\u3164\uffa0\u115f\u1160")


def as_drawn(text: str) -> str:
    """The text without what nobody sees. Spaces stay."""
    return text.translate(_UNSEEN)
