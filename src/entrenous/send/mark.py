"""Mark copies for people who are sent them by another channel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from entrenous.craft.crypto.hashing import sha256
from entrenous.model.ids import ID_BYTES, MessageId, MessageName, RecipientId
from entrenous.model.message import Copy, Message, SentPicture
from entrenous.ports import Device
from entrenous.send.copies import Original, new_seed, prepare_original, write_copy
from entrenous.send.naming import new_name
from entrenous.send.remember import remember


@dataclass(frozen=True, slots=True)
class MarkedFile:
    """One recipient's copy as a file, and the suffix that its name should have."""

    to: RecipientId
    data: bytes
    suffix: str


def mark_copies(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> Iterator[tuple[MessageName, MarkedFile]]:
    """One marked copy after the other; the ledger has each before it is handed over.

    Each copy is made when it is asked for, so memory does not grow with their number. Whoever stops
    early can trace the copies that were handed over, and the ledger names no others.

    Raises:
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp, TooSmallToMark.
    """
    original = prepare_original(untrusted_data, size_px, device)
    message = MessageId(device.dice.token(ID_BYTES))
    marking = _Marking(original, message, new_name(device), device.clock.now())
    suffix = original.picture.encoding.format.written.suffix
    for recipient in to:
        seed = new_seed(device)
        data = write_copy(original, seed)
        marking.copies.append(Copy(recipient, seed, sha256(data)))
        _record(marking, device)
        yield marking.name, MarkedFile(recipient, data, suffix)


@dataclass(slots=True)
class _Marking:
    """A message whose copies are being made; ``picture`` is what is in the ledger so far."""

    original: Original
    id: MessageId
    name: MessageName
    at: datetime
    copies: list[Copy] = field(default_factory=list)
    picture: SentPicture | None = None


def _record(marking: _Marking, device: Device) -> None:
    with device.vault.together():
        if marking.picture is None:
            kept = device.vault.keep(marking.original.source)
            marking.picture = remember(marking.original, kept, ())
        marking.picture = replace(marking.picture, copies=tuple(marking.copies))
        message = Message(marking.id, marking.name, marking.at, (marking.picture,))
        device.ledger.record(message)
