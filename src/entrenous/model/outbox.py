"""What waits on this device until a relay has it on disk."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.envelope import BlobDeposit, Envelope
from entrenous.model.ids import BlobId
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Posting:
    """One envelope to post, with the blobs that it names.

    ``order`` numbers postings in the order in which they must leave; ``blobs`` pairs what is told
    to the relay with the sealed file in the vault that holds the bytes; ``needs`` is the lock of a
    token of ours that must be registered before this leaves. Nothing of it leaves before
    ``release_at``, until which it can be undone. ``begun`` means that some of its blobs may be at
    the relay already, whole or in part. ``index`` is that of ``token`` in the window of ``peer``
    (send/drawers.py: ``peer_key``); None for a token of no window. ``recalls`` is of a letter that
    takes something back, which goes to who is blocked too.
    """

    order: int
    relay_url: str
    token: Secret
    envelope: Envelope
    blobs: tuple[tuple[BlobDeposit, BlobId], ...] = ()
    needs: bytes | None = None
    release_at: datetime | None = None
    begun: bool = False
    index: int | None = None
    peer: str | None = None
    recalls: bool = False

    @property
    def blob_bytes(self) -> int:
        """How many bytes its blobs have together."""
        return sum(deposit.size for deposit, _ in self.blobs)
