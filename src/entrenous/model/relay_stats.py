"""What a relay holds, in numbers."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RelayStats:
    """Counts of rows, and bytes of blobs; nothing of one person.

    ``envelopes`` are all that the relay remembers, those included that are over; ``letters`` wait
    to be fetched; ``uploads`` are blobs that are not whole yet, with their announced sizes;
    ``free_bytes`` is the room on the disk, None where nobody can tell; ``swept_at`` is when all was
    last ended that was due, up to an hour late, None if it never was.
    """

    mailboxes: int
    locks: int
    tokens: int
    letters: int
    shares: int
    envelopes: int
    blobs: int
    blob_bytes: int
    uploads: int
    upload_bytes: int
    free_bytes: int | None
    restored_at: datetime | None
    swept_at: datetime | None
