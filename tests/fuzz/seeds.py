"""Seeds for fuzzing: the test vectors, and small objects that our own writers encode."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from entrenous.base.copies import Copy, Receipt, ReceiptEvent, Receipts
from entrenous.base.identifiers import (
    BlobId,
    DeviceId,
    EnvelopeId,
    MailboxId,
    MessageId,
    MessageName,
    PersonId,
    RecipientId,
)
from entrenous.base.identity import BatchRoot, SignedBatch
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import BlobRef
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.device.sent_messages import Message, SentPicture
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.send.letter.letter_nouns import (
    ComparisonStep,
    ContactRequestNote,
    Header,
    Hello,
    Manifest,
    PersonDeviceListHead,
    PublicXWingKey,
    Reaction,
    TokenRangeNote,
    UsedUpLinkNote,
)
from entrenous.send.people.people_nouns import Invite
from entrenous.wire.key_bundle import write_batch

VECTORS_FOLDER: Final = Path(__file__).parents[1] / "vectors"
NOON: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
URL: Final = "https://relay.example"
MAILBOX: Final = MailboxId(b"M" * 16)
ENVELOPE: Final = EnvelopeId(b"E" * 16)
DEVICE: Final = DeviceId(b"D" * 16)
PERSON: Final = PersonId(b"p" * 32)
DIGEST: Final = b"L" * 32
INVITE: Final = Invite("Ana", URL, MAILBOX, PERSON, Secret(bytes(32)))
RECOVERY_SHEET: Final = RecoverySheet(
    PERSON, Secret(b"m" * 64), URL, MAILBOX, Secret(b"c" * 32), Secret(b"o" * 64)
)
HEADER: Final = Header(
    *(PERSON, DEVICE, PersonId(b"q" * 32), DEVICE, 1, 2, b"k" * 8, MessageId(b"m" * 16), 1),
    *(
        PublicXWingKey(b"n" * 8, b"x" * 1216),
        b"c" * 32,
        ENVELOPE,
        b"b" * 32,
        b"1" * 32,
        b"2" * 32,
        7,
    ),
)
MANIFEST: Final = Manifest(
    *(MessageName("7-otter"), NOON, None, 1, ((PERSON, DEVICE),), Secret(b"s" * 32)),
    (BlobRef(BlobId(b"0" * 16), 4096, b"h" * 32), BlobRef(BlobId(b"1" * 16), 5000, b"i" * 32)),
    *(Secret(b"f" * 32), Secret(b"o" * 32), URL, (PersonDeviceListHead(PERSON, 3, b"H" * 32),)),
    marks=(b"k" * 32,),
)
_BATCH: Final = BatchRoot(DEVICE, None, 1, b"r" * 32)
SIGNED_BATCH: Final = SignedBatch(_BATCH, write_batch(_BATCH), bytes(1952), bytes(3373))
MESSAGE_BODIES: Final = (
    MANIFEST,
    Hello(b"card", Secret(bytes(32)), 64, b"i" * 32),
    Receipts(
        (Receipt(ReceiptEvent.OPENED, MessageId(bytes(16)), ENVELOPE, NOON, DIGEST, DIGEST),),
        SIGNED_BATCH,
    ),
    Reaction(PERSON, MessageId(bytes(16)), "\u2764"),
    ComparisonStep(bytes(16), 2, b"x" * 32),
    TokenRangeNote(Secret(bytes(32)), 64),
    ContactRequestNote(b"card", "It is Ana"),
    UsedUpLinkNote(b"l" * 32),
)
_COPY: Final = Copy(RecipientId("ben"), Secret(b"s" * 32), b"h" * 32, PERSON, DEVICE)
MESSAGE: Final = Message(
    *(MessageId(b"m" * 16), MessageName("7-otter"), NOON),
    (
        SentPicture(
            *(BlobId(b"0" * 16), Fingerprint("pdq", bytes(32), 90), Secret(b"d" * 32)), (_COPY,)
        ),
    ),
)


@cache
def vectors(name: str, folder: str = "wire") -> tuple[dict[str, str], ...]:
    """Return all test vectors of one format, valid and invalid, each as a map of its fields."""
    found = (_read_fields(path) for path in sorted((VECTORS_FOLDER / folder).glob("*.txt")))
    return tuple(fields for fields in found if fields["what"] == name)


def vector_bytes(name: str) -> Iterable[bytes]:
    """Return the bytes of all vectors of one format, valid and invalid."""
    return [bytes.fromhex(fields["bytes"]) for fields in vectors(name)]


def first_valid_vector(name: str) -> bytes:
    """Return the bytes of the first valid vector of a format."""
    fields = next(one for one in vectors(name) if one["expect"] == "success")
    return bytes.fromhex(fields["bytes"])


def _read_fields(path: Path) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in path.read_text().splitlines())
