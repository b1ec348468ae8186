"""Text that other people wrote: what a message may contain, and which characters are invisible."""

import unicodedata
from typing import Final

from entrenous.base.errors import Refused
from entrenous.base.limits import CAPTION_CHARS_MAX, TEXT_CHARS_MAX

# Unicode's embeddings, overrides and isolates (UAX #9), which change the order of the text that
# follows.
_DIRECTION_CHARS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROL_CATEGORIES: Final = frozenset(("Cc", "Cs", "Zl", "Zp"))


def is_terminal_control(char: str) -> bool:
    """Return whether a character controls a terminal instead of being visible.

    Such characters are controls (except for the line feed), surrogates, Unicode's own line ends,
    and changes of direction. Unassigned characters are allowed, because a newer version of Unicode
    may assign them, and devices with different versions must agree.
    """
    return char != "\n" and (
        char in _DIRECTION_CHARS or unicodedata.category(char) in _CONTROL_CATEGORIES
    )


def check_caption(caption: str | None) -> None:
    """Check a caption, the text that is sent with pictures.

    Raises:
        CaptionTooLong, TextHasControlCharacters.
    """
    if caption is None:
        return
    if len(caption) > CAPTION_CHARS_MAX:
        raise CaptionTooLong(chars=len(caption), limit=CAPTION_CHARS_MAX)
    if any(map(is_terminal_control, caption)):
        raise TextHasControlCharacters


def check_message_text(text: str | None) -> None:
    """Check the text of a message without pictures.

    Raises:
        TextTooLong, TextHasControlCharacters.
    """
    if text is not None and len(text) > TEXT_CHARS_MAX:
        raise TextTooLong(chars=len(text), limit=TEXT_CHARS_MAX)
    if text is not None and any(map(is_terminal_control, text)):
        raise TextHasControlCharacters


class CaptionTooLong(Refused):
    """
    This caption has {chars} characters; the limit is {limit}. Nothing was sent. Shorten it, or send
    the rest in a second message.
    """


class TextTooLong(Refused):
    """
    This text has {chars} characters; the limit is {limit}. Nothing was sent. Shorten it, or send
    the rest in a second message.
    """


class TextHasControlCharacters(Refused):
    """
    This text contains invisible control characters, such as Escape, a tab or characters that change
    the writing direction. Nothing was sent. Type it again without them.
    """


_IGNORABLE_RANGES: Final = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164)),
    *((0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8)),
    *((0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
_BRAILLE_BLANK: Final = 0x2800
_INVISIBLE_CHARS: Final = dict.fromkeys(
    (_BRAILLE_BLANK, *(code for low, high in _IGNORABLE_RANGES for code in range(low, high + 1)))
)
#: Invisible characters that are drawn as a gap; all others are not drawn at all.
CHARS_DRAWN_AS_GAP: Final = frozenset("\u2800\u3164\uffa0\u115f\u1160")


def visible_text(text: str) -> str:
    """Return the text without its invisible characters. Spaces are kept."""
    return text.translate(_INVISIBLE_CHARS)
