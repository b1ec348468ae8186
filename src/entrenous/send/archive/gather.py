"""What of a device goes into an archive, as records by name (docs/spec/archive.md 3 and 4)."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from entrenous.craft.crypto.blob import identity_of
from entrenous.craft.crypto.derive import blob_key
from entrenous.craft.wire.record import pack, unpack
from entrenous.model.case import Case
from entrenous.model.ids import BlobId
from entrenous.model.message import Message
from entrenous.model.person import Contact
from entrenous.model.received import InboxState, Received
from entrenous.model.sealed_copy import Departure, SealedCopy
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.archive.parts import (
    CASES,
    CIRCLES,
    CONTACTS,
    CUSTODY,
    KEYS,
    LEDGER,
    LISTS,
    LOOKS,
    PROOFS,
    PROTECTION_DRAWER,
    PROTECTIONS,
    RECEIVED,
    SENT,
    TRACES,
    files_of,
)
from entrenous.send.drawers import CIRCLE, CONTACT, INBOX, LIST, SEALED, take_all
from entrenous.send.inbox import ENDED
from entrenous.spec import TOKEN_BYTES

Record = tuple[str, bytes]  # its name in the archive, and its bytes
NO_TOKEN = Secret(bytes(TOKEN_BYTES))  # what stands for a right to write, which does not travel


def records(device: Device) -> Iterator[Record]:
    """Everything but the files, in the order of the archive."""
    return chain(
        _people(device),
        _as_they_are(CIRCLES, CIRCLE, device),
        _ledger(device),
        _sent(device),
        _traces(device),
        _received(device),
        _cases(device),
        _as_they_are(PROTECTIONS, PROTECTION_DRAWER, device),
    )


def files(device: Device) -> tuple[BlobId, ...]:
    """Every file that one of the records names, each once."""
    cases = (unpack(Case, record) for _, record in device.vault.items(CASES))
    nouns = chain(device.ledger.messages(), _worth_keeping(device), cases)
    return tuple(dict.fromkeys(blob for noun in nouns for blob in files_of(noun)))


def left_of_cases(device: Device) -> int:
    """How many files of cases are not in an archive, because somebody was under 18."""
    cases = (unpack(Case, record) for _, record in device.vault.items(CASES))
    return sum(len(case.evidence) - len(tuple(files_of(case))) for case in cases)


def unopened(device: Device) -> int:
    """How many received messages are not in an archive, because they can still be opened here."""
    every = sum(1 for _ in take_all(Received, INBOX, device.vault))
    return every - sum(1 for _ in _worth_keeping(device))


def _people(device: Device) -> Iterator[Record]:
    for contact in take_all(Contact, CONTACT, device.vault):
        without = replace(contact, send_token=NO_TOKEN)
        yield f"{CONTACTS}/{contact.person.id.hex()}", pack(without)
    yield from _as_they_are(LISTS, LIST, device)


def _ledger(device: Device) -> Iterator[Record]:
    for message in device.ledger.messages():
        yield f"{LEDGER}/{message.id.hex()}", pack(message)
        yield from _looks(message, device)


def _looks(message: Message, device: Device) -> Iterator[Record]:
    for place in range(len(message.pictures)):
        look = device.ledger.look(message.id, place)
        if look is not None:
            yield f"{LOOKS}/{message.id.hex()}/{place:04d}", look


def _sent(device: Device) -> Iterator[Record]:
    for copy in take_all(SealedCopy, SEALED, device.vault):
        if copy.departure is not Departure.WAITING:
            yield f"{SENT}/{copy.envelope.hex()}", pack(copy)
    for folder, drawer in PROOFS.items():
        yield from _as_they_are(folder, drawer, device)


def _traces(device: Device) -> Iterator[Record]:
    for trace in device.ledger.traces():
        yield f"{TRACES}/{trace.number:08d}", pack(trace)


def _received(device: Device) -> Iterator[Record]:
    for number, received in enumerate(_worth_keeping(device)):
        yield f"{RECEIVED}/{number:08d}", pack(replace(received, manifest=None, attempt=None))
        yield from _keys(received)


def _keys(received: Received) -> Iterator[Record]:
    """What opens each of its files, which are sealed as they came, without this program."""
    if received.key is not None:
        for place, blob in enumerate(received.kept):
            identity = identity_of(blob_key(received.key, place))
            yield f"{KEYS}/{blob.hex()}", identity.reveal() + b"\n"


def _worth_keeping(device: Device) -> Iterator[Received]:
    """What was opened and may be opened for ever, or has ended: it needs no key any more."""
    for received in take_all(Received, INBOX, device.vault):
        opened = received.state is InboxState.OPENED and received.key is not None
        if received.state in ENDED or (opened and received.opens is None):
            yield received


def _cases(device: Device) -> Iterator[Record]:
    """A case as it was hashed, and the links of its chain."""
    yield from _as_they_are(CASES, CASES, device)
    yield from _as_they_are(CUSTODY, CUSTODY, device)


def _as_they_are(folder: str, drawer: str, device: Device) -> Iterator[Record]:
    items = device.vault.items(drawer)
    return ((f"{folder}/{key.replace(' ', '/')}", record) for key, record in items)
