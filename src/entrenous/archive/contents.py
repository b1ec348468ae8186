"""The records of an archive: their folders and types, and the files that records name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from entrenous.base.identifiers import BlobId
from entrenous.base.identity import Contact
from entrenous.device.identities import KnownKeyBundle
from entrenous.device.sent_copies import ProvenReceipt, ReceiptCoverage
from entrenous.device.sent_messages import CopyDelivery, Message
from entrenous.device.vault_tables import RECEIPT, RECEIPT_COVERAGE, RECEIPT_KEY_BUNDLE
from entrenous.respond.custody import CustodyLink
from entrenous.respond.nouns import AgeAnswer, Case, EvidenceLevel
from entrenous.send.message.states import ReceivedMessage
from entrenous.send.people.circles import Circle
from entrenous.stop.registration import Protection
from entrenous.watermark.verdict import Trace

CONTACTS_FOLDER: Final = "contacts"
DEVICE_LISTS_FOLDER: Final = "lists"
CIRCLES_FOLDER: Final = "circles"
LEDGER_FOLDER: Final = "ledger"
PICTURE_RECORDS_FOLDER: Final = "looks"
SENT_COPIES_FOLDER: Final = "sent"
TRACES_FOLDER: Final = "traces"
RECEIVED_FOLDER: Final = "received"
FILE_KEYS_FOLDER: Final = "keys"
# the vault tables of cases and of custody have the same names as these folders
CASES_FOLDER: Final = "cases"
CUSTODY_FOLDER: Final = "custody"
ERASED_CASE_TABLE: Final = "erased-case"
PROTECTIONS_FOLDER: Final = "protections"
PROTECTION_TABLE: Final = "protection"
RECEIPT_COVERAGE_FOLDER: Final = "covered"
RECEIPTS_FOLDER: Final = "receipts"
RECEIPT_KEY_BUNDLES_FOLDER: Final = "receipt-cards"
#: Tables of the vault that prove whose copy has which mark, by folder of the archive. They are
#: copied unchanged.
PROOF_TABLES_BY_FOLDER: Final[Mapping[str, str]] = {
    RECEIPT_COVERAGE_FOLDER: RECEIPT_COVERAGE,
    RECEIPTS_FOLDER: RECEIPT,
    RECEIPT_KEY_BUNDLES_FOLDER: RECEIPT_KEY_BUNDLE,
}
RECORD_TYPE_BY_FOLDER: Final[Mapping[str, type[Any]]] = {
    CONTACTS_FOLDER: Contact,
    DEVICE_LISTS_FOLDER: KnownKeyBundle,
    CIRCLES_FOLDER: Circle,
    LEDGER_FOLDER: Message,
    SENT_COPIES_FOLDER: CopyDelivery,
    TRACES_FOLDER: Trace,
    RECEIVED_FOLDER: ReceivedMessage,
    CASES_FOLDER: Case,
    CUSTODY_FOLDER: CustodyLink,
    PROTECTIONS_FOLDER: Protection,
    RECEIPT_COVERAGE_FOLDER: ReceiptCoverage,
    RECEIPTS_FOLDER: ProvenReceipt,
}
# folders whose records are not instances of a class, but bytes in other formats
RAW_RECORD_FOLDERS: Final = (FILE_KEYS_FOLDER, PICTURE_RECORDS_FOLDER, RECEIPT_KEY_BUNDLES_FOLDER)


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One record of an archive, called ``folder/key``. ``decoded`` is ``data``, decoded into an
    instance of the record's class, or ``data`` itself in the folders RAW_RECORD_FOLDERS.
    """

    folder: str
    key: str
    decoded: Any
    data: bytes


def records_in(folder: str, items: Sequence[ArchiveRecord]) -> Iterator[ArchiveRecord]:
    """Yield the records of one folder, in order."""
    return (item for item in items if item.folder == folder)


def archived_files_of(decoded: object) -> Iterator[BlobId]:
    """Yield those files of a record that are archived.

    All files are archived, with one exception: if somebody in a case was, or may have been, under
    18, only the statements in the case are archived.
    """
    if isinstance(decoded, Message):
        yield from (picture.original for picture in decoded.pictures)
        for clip in decoded.clips:
            yield from (clip.original, clip.survey)
        for sound in decoded.sounds:
            yield from (sound.original, sound.contour)
    elif isinstance(decoded, ReceivedMessage):
        yield from decoded.kept
    elif isinstance(decoded, Case):
        every = decoded.age is AgeAnswer.ADULTS
        yield from (
            item.blob for item in decoded.evidence if every or item.level is EvidenceLevel.A0
        )
