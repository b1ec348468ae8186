"""One recipient's copy of a file, and the receipts that prove its delivery and opening.

The send package makes copies and receipts. The trace package names whose copy leaked, and puts
receipts into a report. A label is the sender's name for the recipient of a copy.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from entrenous.base.errors import Malformed, Refused
from entrenous.base.identifiers import DeviceId, EnvelopeId, MessageId, PersonId, RecipientId
from entrenous.base.identity import BatchPosition, SignedBatch
from entrenous.base.language import translated
from entrenous.base.limits import LABEL_CHARS_MAX, LABELS_MAX
from entrenous.base.screen_text import is_terminal_control
from entrenous.base.secret import Secret


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient's own version of one picture, clip or sound.

    ``seed`` is the secret from which the copy's mark is generated; ``sha256`` is the hash of the
    written file. ``nonce`` is the random part of the message's commitment to the mark
    (docs/spec/content.md section 6). ``person``, ``device`` and ``nonce`` are None if the copy was
    not sent by Entrenous but made with ``entrenous mark``.
    """

    to: RecipientId
    seed: Secret
    sha256: bytes
    person: PersonId | None = None
    device: DeviceId | None = None
    nonce: Secret | None = None


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A statement that a recipient's device signed.

    ``proof`` is an encoded :class:`ReceiptProof`.
    """

    statement: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class CopyProof:
    """The proof of what was sent to one device: the commitments in the letter to the device, and
    the receipts that the device signed.

    ``place`` is the number of the file in the message, from 1. ``nonce`` opens the commitment to
    the mark of this file.
    """

    message: MessageId
    person: PersonId
    device: DeviceId
    marks: tuple[bytes | None, ...]
    receipts: tuple[SignedReceipt, ...]
    place: int = 1
    nonce: Secret | None = None


@dataclass(frozen=True, slots=True)
class MessageProofs:
    """What a message's recipients received and signed.

    ``cards`` are the recipients' key bundles, which prove their identity.
    """

    copies: tuple[CopyProof, ...] = ()
    cards: tuple[bytes, ...] = ()


_BYTES_PER_CHAR_MAX: Final = 4  # UTF-8 needs at most this many bytes for a character (RFC 3629)
_LINE_END_BYTES_MAX: Final = 2  # the longest line end is a carriage return and a line feed
_LABEL_FILE_BYTES_MAX: Final = LABELS_MAX * (
    LABEL_CHARS_MAX * _BYTES_PER_CHAR_MAX + _LINE_END_BYTES_MAX
)


def parse_labels(names: Iterable[str]) -> tuple[RecipientId, ...]:
    """Parse labels that were given one by one; a repeated label counts once.

    Raises:
        BadLabel, TooManyLabels.
    """
    labels = tuple(
        dict.fromkeys(
            _parse_label(name, name.strip()[:40] or translated("An empty text")) for name in names
        )
    )
    if len(labels) > LABELS_MAX:
        raise TooManyLabels(count=f"{len(labels):,}", limit=f"{LABELS_MAX:,}")
    return labels


def parse_label_file(text: bytes) -> tuple[RecipientId, ...]:
    """Parse a text file with one label per line, in UTF-8 with or without a byte order mark.

    The line ends of every system are accepted. Empty lines are ignored, and so are spaces around a
    label.

    Raises:
        NotALabelList: the file is not UTF-8, or far larger than any list of labels.
        BadLabel, DuplicateLabel, TooManyLabels, NoLabelsGiven.
    """
    first_line: dict[RecipientId, int] = {}
    for line, words in enumerate(_split_label_lines(text), start=1):
        if not words.strip():
            continue
        label = _parse_label(words, translated("The text on line {line}").format(line=line))
        if label in first_line:
            raise DuplicateLabel(label=label, line=line, before=first_line[label])
        first_line[label] = line
    if not first_line:
        raise NoLabelsGiven
    if len(first_line) > LABELS_MAX:
        raise TooManyLabels(count=f"{len(first_line):,}", limit=f"{LABELS_MAX:,}")
    return tuple(first_line)


def _split_label_lines(text: bytes) -> list[str]:
    if len(text) > _LABEL_FILE_BYTES_MAX:
        raise NotALabelList
    try:
        words = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotALabelList from None
    return words.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _parse_label(words: str, where: str) -> RecipientId:
    """Return one label in Unicode normal form C (UAX #15), so labels that look equal are equal."""
    label = unicodedata.normalize("NFC", words.strip())
    if not label or len(label) > LABEL_CHARS_MAX or any(map(is_line_end_or_control, label)):
        raise BadLabel(where=where, limit=LABEL_CHARS_MAX)
    return RecipientId(label)


def is_line_end_or_control(char: str) -> bool:
    """Return whether a character ends a line or controls a terminal."""
    return char == "\n" or is_terminal_control(char)


class NotALabelList(Malformed):
    """
    That file cannot be used as a list of names: it is too large, or is not plain text in UTF-8.
    Nothing was marked. Use a file with one name on each line, and split a long list into several
    files.
    """


class BadLabel(Refused):
    """
    {where} is not a valid name. A name has 1 to {limit} characters; control characters, such as
    Escape, a tab or characters that change the writing direction, are not allowed. Nothing was
    marked. Correct the name, then try again.
    """


class DuplicateLabel(Refused):
    """
    The name {label} is on line {before} and again on line {line}, but each line has to name a
    different person. Nothing was marked. If these are two people, give them different names; if
    not, remove one of the lines.
    """


class TooManyLabels(Refused):
    """
    You named {count} people, but copies can be marked for at most {limit} at once. Nothing was
    marked. Mark the file for some of the people, then again for the others: a later trace searches
    all these copies.
    """


class NoLabelsGiven(Refused):
    """
    You named nobody, so nothing was marked. Say who gets a copy: use --to NAME, or --to-file FILE
    with one name on each line.
    """


class ReceiptEvent(IntEnum):
    """The event that a receipt confirms; the numbers are part of the wire format."""

    DELIVERED = 1
    OPENED = 2
    EXPORTED = 3


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt as it arrived. Do not trust it before crypto/statements.py has verified it.

    ``marks`` is the hash of all commitments of the message (docs/spec/content.md section 6).
    ``leaf`` is the hash of the receipt's statement in its batch. Both have 32 bytes.
    """

    event: ReceiptEvent
    message: MessageId
    envelope: EnvelopeId
    at: datetime
    marks: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Receipts:
    """A letter of 1 to 64 receipts; ``batch`` has a leaf for each receipt, in the same order."""

    receipts: tuple[Receipt, ...]
    batch: SignedBatch


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """The proof of a single receipt: the signed batch, and the receipt's position in it."""

    place: BatchPosition
    batch: SignedBatch


@dataclass(frozen=True, slots=True)
class ReceiptStatement:
    """Everything that a receipt's signature covers.

    The sender and the recipient each rebuild the statement from what they know. ``sender`` is the
    author of the message. ``head`` is the head of the recipient's device list, ``manifest`` is the
    hash of the message's manifest; each has 32 bytes.
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
    """
    With a receipt, a recipient's device confirms that a copy arrived or was opened. Entrenous
    cannot read this receipt, so it proves nothing. Nothing was changed. Ask for the unchanged
    receipt, or update Entrenous and try again.
    """


NAMES_SHOWN_MAX: Final = 5


def join_names(names: Sequence[str], unnamed: int = 0) -> str:
    """Join the first five names, and say how many others there are.

    ``unnamed`` is the number of people whose names this device does not know.
    """
    more = max(0, len(names) - NAMES_SHOWN_MAX) + unnamed
    return ", ".join(names[:NAMES_SHOWN_MAX]) + (
        " " + translated("and {number} more").format(number=more) if more else ""
    )
