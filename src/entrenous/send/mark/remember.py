"""What the ledger keeps of a sent picture, so that a leak of it is found again."""

from collections.abc import Sequence

from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.model.ids import BlobId, MessageId
from entrenous.model.message import Copy, SentPicture
from entrenous.ports import Device
from entrenous.send.mark.copies import Original


def remember(original: Original, kept: BlobId, copies: tuple[Copy, ...]) -> SentPicture:
    """What the ledger keeps of one picture; ``kept`` is its source file in the vault."""
    return SentPicture(
        original=kept,
        fingerprint=fingerprint(original.picture),
        dither=original.dither,
        copies=copies,
        size_px=original.size_px,
        finer=original.finer,
    )


def keep_looks(message: MessageId, originals: Sequence[Original], device: Device) -> None:
    """Keep what a recorded message's pictures look like, so that cut-outs of them are found."""
    for place, original in enumerate(originals):
        device.ledger.keep_look(message, place, original.look.result())
