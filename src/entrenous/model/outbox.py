"""What waits on this device until a relay has it on disk."""

from dataclasses import dataclass

from entrenous.model.envelope import BlobDeposit, Envelope
from entrenous.model.ids import BlobId
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Posting:
    """One envelope to post, with the blobs that it names.

    ``order`` numbers postings in the order in which they must leave; ``blobs`` pairs what is told
    to the relay with the sealed file in the vault that holds the bytes; ``needs`` is the lock of a
    token of ours that must be registered before this leaves.
    """

    order: int
    relay_url: str
    token: Secret
    envelope: Envelope
    blobs: tuple[tuple[BlobDeposit, BlobId], ...] = ()
    needs: bytes | None = None
