"""The records of an archive: their folders and types, and the files that records name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from entrenous.base.identifiers import BlobId
from entrenous.base.identity import Contact
from entrenous.device.identities import KnownList
from entrenous.device.sent_copies import ProvenReceipt, ReceiptCoverage
from entrenous.device.sent_messages import Message, SealedCopy
from entrenous.device.vault_tables import COVERED, RECEIPT, RECEIPT_CARD
from entrenous.respond.custody import CustodyLink
from entrenous.respond.nouns import AgeAnswer, Case, EvidenceLevel
from entrenous.send.message.states import Received
from entrenous.send.people.circles import Circle
from entrenous.stop.registration import Protection
from entrenous.watermark.verdict import Trace

CONTACTS: Final = "contacts"
LISTS: Final = "lists"
CIRCLES: Final = "circles"
LEDGER: Final = "ledger"
PICTURE_RECORDS: Final = "looks"
SENT: Final = "sent"
TRACES: Final = "traces"
RECEIVED: Final = "received"
KEYS: Final = "keys"
CASES: Final = "cases"  # this and CUSTODY are also the names of vault tables
CUSTODY: Final = "custody"
ERASED_TABLE: Final = "erased-case"
PROTECTIONS: Final = "protections"
PROTECTION_TABLE: Final = "protection"
COVERED_RECEIPTS: Final = "covered"
RECEIPTS: Final = "receipts"
RECEIPT_CARDS: Final = "receipt-cards"
#: Tables of the vault that prove whose copy has which mark, by folder of the archive. They are
#: copied unchanged.
PROOF_TABLES: Final[Mapping[str, str]] = {
    COVERED_RECEIPTS: COVERED,
    RECEIPTS: RECEIPT,
    RECEIPT_CARDS: RECEIPT_CARD,
}
RECORD_TYPES: Final[Mapping[str, type[Any]]] = {
    CONTACTS: Contact,
    LISTS: KnownList,
    CIRCLES: Circle,
    LEDGER: Message,
    SENT: SealedCopy,
    TRACES: Trace,
    RECEIVED: Received,
    CASES: Case,
    CUSTODY: CustodyLink,
    PROTECTIONS: Protection,
    COVERED_RECEIPTS: ReceiptCoverage,
    RECEIPTS: ProvenReceipt,
}
# folders whose content is bytes in formats of their own
RAW_FOLDERS: Final = (KEYS, PICTURE_RECORDS, RECEIPT_CARDS)


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One record of an archive, called ``folder/key``; ``noun`` is decoded from ``data``."""

    folder: str
    key: str
    noun: Any
    data: bytes


def records_in(folder: str, items: Sequence[ArchiveRecord]) -> Iterator[ArchiveRecord]:
    """Return the records of one folder, in order."""
    return (item for item in items if item.folder == folder)


def files_of(noun: object) -> Iterator[BlobId]:
    """Yield the files of a record that are archived: all of them, except that a case in which
    somebody was, or may have been, under 18 keeps only its words.
    """
    if isinstance(noun, Message):
        yield from (picture.original for picture in noun.pictures)
        for clip in noun.clips:
            yield from (clip.original, clip.survey)
        for sound in noun.sounds:
            yield from (sound.original, sound.contour)
    elif isinstance(noun, Received):
        yield from noun.kept
    elif isinstance(noun, Case):
        every = noun.age is AgeAnswer.ADULTS
        yield from (item.blob for item in noun.evidence if every or item.level is EvidenceLevel.A0)
