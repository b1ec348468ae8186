"""What the ledger keeps of a sent picture, so that a leak of it is found again."""

from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.model.ids import BlobId
from entrenous.model.message import Copy, SentPicture
from entrenous.send.copies import Original


def remember(original: Original, kept: BlobId, copies: tuple[Copy, ...]) -> SentPicture:
    """What the ledger keeps of one picture; ``kept`` is its source file in the vault."""
    return SentPicture(
        original=kept,
        fingerprint=fingerprint(original.picture),
        dither=original.dither,
        copies=copies,
        size_px=original.size_px,
    )
