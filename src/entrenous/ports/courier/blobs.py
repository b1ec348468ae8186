"""Blobs at a relay."""

from typing import BinaryIO, Protocol

from entrenous.model.envelope import BlobDeposit
from entrenous.model.ids import BlobId, MailboxId
from entrenous.model.secret import Secret


class Blobs(Protocol):
    """Sealed files on their way (docs/spec/relay.md section 4); a few chunks of them in memory."""

    def bring_blob(
        self, url: str, token: Secret, deposit: BlobDeposit, data: bytes | BinaryIO, start: int = 0
    ) -> None:
        """Upload a blob from byte ``start`` on; durable when it returns; may be repeated.

        ``data`` is the whole blob, or a reader of the whole that can seek. Raises WrongOffset when
        less than ``start`` bytes of it are there.
        """
        ...

    def how_much_came(
        self, url: str, mailbox: MailboxId, blob: BlobId, withdraw_token: Secret
    ) -> int:
        """How many bytes of a blob are there, for who brings it; 0 when nothing is."""
        ...

    def blob_to(
        self, url: str, blob: BlobId, fetch_token: Secret, writer: BinaryIO, start: int = 0
    ) -> None:
        """Download a blob from byte ``start`` on; how much comes is for ``writer`` to limit.

        What came before an error was written: the rest may be asked for.
        """
        ...
