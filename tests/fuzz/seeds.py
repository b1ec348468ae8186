"""Seeds for fuzzing: the test vectors, and small objects for our own writers to write."""

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

VECTORS: Final = Path(__file__).parents[1] / "vectors"
NOON: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
URL: Final = "https://relay.example"
BOX: Final = MailboxId(b"M" * 16)
ENVELOPE: Final = EnvelopeId(b"E" * 16)
DEVICE: Final = DeviceId(b"D" * 16)
PERSON: Final = PersonId(b"p" * 32)
LOCK: Final = b"L" * 32
INVITE: Final = Invite("Ana", URL, BOX, PERSON, Secret(bytes(32)))
SHEET: Final = RecoverySheet(
    PERSON, Secret(b"m" * 64), URL, BOX, Secret(b"c" * 32), Secret(b"o" * 64)
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
SIGNED: Final = SignedBatch(_BATCH, write_batch(_BATCH), bytes(1952), bytes(3373))
BODIES: Final = (
    MANIFEST,
    Hello(b"card", Secret(bytes(32)), 64, b"i" * 32),
    Receipts(
        (Receipt(ReceiptEvent.OPENED, MessageId(bytes(16)), ENVELOPE, NOON, LOCK, LOCK),), SIGNED
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
    """Return all vectors about one function, good and bad, each as a map of its lines."""
    found = (_facts(path) for path in sorted((VECTORS / folder).glob("*.txt")))
    return tuple(facts for facts in found if facts["what"] == name)


def encoded(name: str) -> Iterable[bytes]:
    """Return the bytes of all vectors of one format, good and bad."""
    return [bytes.fromhex(facts["bytes"]) for facts in vectors(name)]


def good(name: str) -> bytes:
    """Return the bytes of the first good vector of a format."""
    facts = next(one for one in vectors(name) if one["expect"] == "success")
    return bytes.fromhex(facts["bytes"])


def _facts(path: Path) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in path.read_text().splitlines())
