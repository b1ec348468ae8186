"""One recipient's copy of a file: its label, and the receipts that prove what became of it.

SEND makes copies and receipts; TRACE names copies and discloses receipts in a report.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from entrenous.base.errors import Malformed, Refused
from entrenous.base.identifiers import DeviceId, EnvelopeId, MessageId, PersonId, RecipientId
from entrenous.base.identity import Place, SignedBatch
from entrenous.base.limits import LABEL_CHARS_MAX, LABELS_MAX
from entrenous.base.screen_text import acts_on_screen
from entrenous.base.secret import Secret


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient's own version of one picture.

    ``seed`` is the secret that the copy's mark grows from; ``sha256`` is of the file as written.
    ``person`` and ``device`` are None when the copy was made for another channel (``mark``), and so
    is ``nonce``, with which the message committed to the mark (docs/spec/content.md section 6).
    """

    to: RecipientId
    seed: Secret
    sha256: bytes
    person: PersonId | None = None
    device: DeviceId | None = None
    nonce: Secret | None = None


@dataclass(frozen=True, slots=True)
class Receipted:
    """What a recipient's device signed, and an encoded :class:`.receipt.ReceiptProof` of it."""

    statement: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class CopyProof:
    """What one device was sent, beside the mark: the commitments in its letter, and its receipts.

    ``place`` is the number of the picture in the message, from 1; ``nonce`` opens its commitment.
    """

    message: MessageId
    person: PersonId
    device: DeviceId
    marks: tuple[bytes | None, ...]
    receipts: tuple[Receipted, ...]
    place: int = 1
    nonce: Secret | None = None


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a message's recipients were sent and signed, and the cards that prove whose it is."""

    copies: tuple[CopyProof, ...] = ()
    cards: tuple[bytes, ...] = ()


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


class ReceiptEvent(IntEnum):
    """What happened; the numbers travel."""

    DELIVERED = 1
    OPENED = 2
    EXPORTED = 3


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt as it travels; unproven before crypto/statements.py verified it.

    ``marks`` is the marks hash (docs/spec/content.md section 6); ``leaf`` the hash of the receipt's
    statement in its batch; 32 bytes each.
    """

    event: ReceiptEvent
    message: MessageId
    envelope: EnvelopeId
    at: datetime
    marks: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Receipts:
    """A letter of 1 to 64 receipts; ``batch`` has a leaf for each, in their order."""

    receipts: tuple[Receipt, ...]
    batch: SignedBatch


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """What proves one receipt by itself: its place in the batch that was signed."""

    place: Place
    batch: SignedBatch


@dataclass(frozen=True, slots=True)
class ReceiptStatement:
    """Everything that is signed of a receipt; both ends rebuild it from what they know.

    ``sender`` wrote the message; ``head`` is that of the recipient's list, ``manifest`` the hash of
    the message's manifest (32 bytes each).
    """

    sender: PersonId
    message: MessageId
    envelope: EnvelopeId
    recipient: PersonId
    device: DeviceId
    head: bytes
    event: ReceiptEvent
    at: datetime
    manifest: bytes
    marks: bytes


class BadReceipt(Malformed):
    """This is no receipt that Entrenous can read, so nothing follows from it."""


AT_MOST: Final = 5


def several(names: Sequence[str], unnamed: int = 0) -> str:
    """The first five of these names, and how many more there are; ``unnamed`` are more of them."""
    more = max(0, len(names) - AT_MOST) + unnamed
    return ", ".join(names[:AT_MOST]) + (f" and {more} more" if more else "")
