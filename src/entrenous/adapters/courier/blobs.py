"""Blobs at a relay."""

from entrenous.adapters.courier.request import Ask, Asks
from entrenous.craft.wire.b64u import b64u
from entrenous.model.envelope import BlobDeposit
from entrenous.model.ids import BlobId
from entrenous.model.secret import Secret
from entrenous.spec import BLOB_BYTES_MAX


class HttpBlobs:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def bring_blob(self, url: str, token: Secret, deposit: BlobDeposit, data: bytes) -> None:
        """Upload a blob; durable when it returns; may be repeated."""
        path = f"mailboxes/{b64u(deposit.mailbox)}/blobs/{b64u(deposit.id)}"
        said = {
            "Entrenous-Fetch-Lock": b64u(deposit.fetch_lock),
            "Entrenous-Withdraw-Lock": b64u(deposit.withdraw_lock),
            "Entrenous-Expires-At": str(int(deposit.expires_at.timestamp())),
            "Entrenous-Sha256": b64u(deposit.sha256),
        }
        self._ask(url, Ask("PUT", path, token, data, said))

    def blob(self, url: str, blob: BlobId, fetch_token: Secret) -> bytes:
        """Download a blob."""
        return self._ask(url, Ask("GET", f"blobs/{b64u(blob)}", fetch_token, limit=BLOB_BYTES_MAX))
