"""Labels: whom marked copies are for, in the sender's own words; one, or a list from a file."""

import unicodedata
from collections.abc import Iterable
from typing import Final

from entrenous.model.caption import acts_on_screen
from entrenous.model.errors import Malformed, Refused
from entrenous.model.ids import RecipientId
from entrenous.spec import LABEL_CHARS_MAX, LABELS_MAX

_BYTES_PER_CHAR: Final = 4  # of UTF-8 at most (RFC 3629)
_LINE_END: Final = 2  # a carriage return and a line feed
_FILE_BYTES_MAX: Final = LABELS_MAX * (LABEL_CHARS_MAX * _BYTES_PER_CHAR + _LINE_END)


def labels_of(names: Iterable[str]) -> tuple[RecipientId, ...]:
    """Labels as typed one by one; one that is repeated counts once.

    Raises:
        BadLabel, TooManyLabels.
    """
    labels = tuple(dict.fromkeys(_label(name, f"{name[:40]}") for name in names))
    if len(labels) > LABELS_MAX:
        raise TooManyLabels(count=f"{len(labels):,}", limit=f"{LABELS_MAX:,}")
    return labels


def labels_in(text: bytes) -> tuple[RecipientId, ...]:
    """Labels from a text file: UTF-8 with or without a byte order mark, one a line.

    Lines may end as on any system; empty ones, and spaces around a label, do not count.

    Raises:
        NotAList: not UTF-8, or far larger than any list of labels.
        BadLabel, NamedTwice, TooManyLabels, NobodyNamed.
    """
    first_line: dict[RecipientId, int] = {}
    for line, words in enumerate(_lines(text), start=1):
        if not words.strip():
            continue
        label = _label(words, f"line {line}")
        if label in first_line:
            raise NamedTwice(label=label, line=line, before=first_line[label])
        first_line[label] = line
    if not first_line:
        raise NobodyNamed
    if len(first_line) > LABELS_MAX:
        raise TooManyLabels(count=f"{len(first_line):,}", limit=f"{LABELS_MAX:,}")
    return tuple(first_line)


def _lines(text: bytes) -> list[str]:
    if len(text) > _FILE_BYTES_MAX:
        raise NotAList
    try:
        words = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotAList from None
    return words.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _label(words: str, where: str) -> RecipientId:
    """One label. In one form of Unicode, so that two that look alike are alike (UAX #15, NFC)."""
    label = unicodedata.normalize("NFC", words.strip())
    if not label or len(label) > LABEL_CHARS_MAX or any(map(breaks_a_line, label)):
        raise BadLabel(where=where, limit=LABEL_CHARS_MAX)
    return RecipientId(label)


def breaks_a_line(char: str) -> bool:
    """Whether a character has no place inside a line: it ends it, or acts on its screen."""
    return char == "\n" or acts_on_screen(char)


class NotAList(Malformed):
    """
    That file is not a list of names. It should be plain text, saved as UTF-8, with one name a line.
    Nothing was marked.
    """


class BadLabel(Refused):
    """
    {where} is no name to go by: one has 1 to {limit} characters, and none that act on the screen,
    like Escape, a tab or a change of direction. Nothing was marked.
    """


class NamedTwice(Refused):
    """
    {label} stands on line {before} and again on line {line}. One copy is for one person: if these
    are two, give them two names; if not, take one line out. Nothing was marked.
    """


class TooManyLabels(Refused):
    """
    One picture is marked for at most {limit} people at once, and these are {count}. Nothing was
    marked. Mark it again for the others: a trace looks through all of them.
    """


class NobodyNamed(Refused):
    """
    Nobody is named, so nothing was marked. Say who gets a copy: --to NAME, or --to-file FILE with
    one name a line.
    """
