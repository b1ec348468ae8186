"""Blobs at a relay."""

from typing import Protocol

from entrenous.model.envelope import BlobDeposit
from entrenous.model.ids import BlobId
from entrenous.model.secret import Secret


class Blobs(Protocol):
    """Sealed files on their way (docs/spec/relay.md section 4)."""

    def bring_blob(self, url: str, token: Secret, deposit: BlobDeposit, data: bytes) -> None:
        """Upload a blob; durable when it returns; may be repeated."""
        ...

    def blob(self, url: str, blob: BlobId, fetch_token: Secret) -> bytes:
        """Download a blob."""
        ...
