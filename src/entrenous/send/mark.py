"""Mark copies for people who are sent them by another channel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from entrenous.craft.crypto.hashing import sha256
from entrenous.model.ids import ID_BYTES, MessageId, MessageName, RecipientId
from entrenous.model.message import Copy, Message
from entrenous.ports import Device
from entrenous.send.copies import new_seed, prepare_original, remember, write_copy
from entrenous.send.naming import new_name


@dataclass(frozen=True, slots=True)
class MarkedFile:
    """One recipient's copy as a file, and the suffix that its name should have."""

    to: RecipientId
    data: bytes
    suffix: str


def mark_copies(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> Iterator[tuple[MessageName, MarkedFile]]:
    """One marked copy after the other; the ledger has the message once the last one is taken.

    Each copy is made when it is asked for, so memory does not grow with their number.

    Raises:
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp, TooSmallToMark.
    """
    original = prepare_original(untrusted_data, size_px, device)
    name = new_name(device)
    suffix = original.picture.encoding.format.written.suffix
    copies = []
    for recipient in to:
        seed = new_seed(device)
        data = write_copy(original, seed)
        copies.append(Copy(recipient, seed, sha256(data)))
        yield name, MarkedFile(recipient, data, suffix)
    with device.vault.together():
        kept = device.vault.keep(untrusted_data)
        message = Message(
            id=MessageId(device.dice.token(ID_BYTES)),
            name=name,
            sent_at=device.clock.now(),
            pictures=(remember(original, kept, tuple(copies)),),
        )
        device.ledger.record(message)
