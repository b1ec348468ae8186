"""What may be said in a message: text that cannot act on the screen that shows it."""

import unicodedata
from typing import Final

from entrenous.model.errors import Refused
from entrenous.spec import CAPTION_CHARS_MAX, TEXT_CHARS_MAX

# Embeddings, overrides and isolates (UAX #9): they turn around what stands behind them.
_TURNS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ACTS: Final = frozenset(("Cc", "Cs", "Zl", "Zp"))


def acts_on_screen(char: str) -> bool:
    """Whether a character does something to a terminal instead of being seen on it.

    These are controls but for the line feed, half surrogates, Unicode's own line ends and changes
    of direction. Unassigned characters are none of them: a newer Unicode may have given them looks,
    and two devices must agree.
    """
    return char != "\n" and (char in _TURNS or unicodedata.category(char) in _ACTS)


def check_caption(caption: str | None) -> None:
    """Pass what may stand beside pictures.

    Raises:
        CaptionTooLong, CaptionActs.
    """
    if caption is None:
        return
    if len(caption) > CAPTION_CHARS_MAX:
        raise CaptionTooLong(chars=len(caption), limit=CAPTION_CHARS_MAX)
    if any(map(acts_on_screen, caption)):
        raise CaptionActs


def check_text(text: str | None) -> None:
    """Pass what may be a message by itself.

    Raises:
        TextTooLong, CaptionActs.
    """
    if text is not None and len(text) > TEXT_CHARS_MAX:
        raise TextTooLong(chars=len(text), limit=TEXT_CHARS_MAX)
    if text is not None and any(map(acts_on_screen, text)):
        raise CaptionActs


class CaptionTooLong(Refused):
    """
    A caption has at most {limit} characters, and this one has {chars}. Nothing was sent. Shorten
    it, or send the rest in a second message.
    """


class TextTooLong(Refused):
    """
    A message's text has at most {limit} characters, and this one has {chars}. Nothing was sent.
    Shorten it, or send the rest in a second message.
    """


class CaptionActs(Refused):
    """
    This text holds characters that nobody sees and that act on the screen instead, like Escape,
    a tab or a change of direction. Nothing was sent. Type it again without them.
    """
