"""Blobs at a relay, a chunk at a time."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import BinaryIO, Final

import httpx

from entrenous.adapters.courier.request import Ask, Asks, Errand, Streams, end_of
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.relay.upload import read_upload
from entrenous.model.envelope import BlobDeposit
from entrenous.model.ids import BlobId, MailboxId
from entrenous.model.relay_problem import NoSuchBlob, NotUnderstood
from entrenous.model.secret import Secret

_CHUNK: Final = 1024 * 1024  # bytes


class HttpBlobs:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer,
    ``streams`` makes one whose body or answer is too large to be held.
    """

    def __init__(self, asks: Asks, streams: Streams) -> None:
        self._ask = asks
        self._stream = streams

    def bring_blob(
        self, url: str, token: Secret, deposit: BlobDeposit, data: bytes | BinaryIO, start: int = 0
    ) -> None:
        """Upload a blob from byte ``start`` on; durable when it returns; may be repeated."""
        said = {
            "Entrenous-Fetch-Lock": b64u(deposit.fetch_lock),
            "Entrenous-Withdraw-Lock": b64u(deposit.withdraw_lock),
            "Entrenous-Expires-At": str(int(deposit.expires_at.timestamp())),
            "Entrenous-Sha256": b64u(deposit.sha256),
            "Entrenous-Offset": str(start),
            "Content-Length": str(_length(deposit, data) - start),
        }
        path = _path(deposit.mailbox, deposit.id)

        def each_try() -> Ask:
            return Ask("PUT", path, token, _from(data, start), said, errand=Errand.LETTER)

        self._stream(url, each_try, end_of)

    def how_much_came(
        self, url: str, mailbox: MailboxId, blob: BlobId, withdraw_token: Secret
    ) -> int:
        """How many bytes of a blob are there, for who brings it; 0 when nothing is."""
        try:
            what = Ask("GET", _path(mailbox, blob), withdraw_token, errand=Errand.LETTER)
            told = self._ask(url, what)
        except NoSuchBlob:
            return 0
        came, size = read_upload(told)
        if came > size:
            raise NotUnderstood
        return came

    def blob_to(
        self, url: str, blob: BlobId, fetch_token: Secret, writer: BinaryIO, start: int = 0
    ) -> None:
        """Download a blob from byte ``start`` on; how much comes is for ``writer`` to limit."""
        coming = _Coming(writer, start)

        def each_try() -> Ask:
            return Ask("GET", f"blobs/{b64u(blob)}", fetch_token, headers=coming.asked())

        self._stream(url, each_try, coming.take)


class _Coming:
    """One download: what came is written once, also when the connection was lost in between."""

    def __init__(self, writer: BinaryIO, start: int) -> None:
        self._writer = writer
        self._at = start

    def asked(self) -> dict[str, str]:
        return {"Range": f"bytes={self._at}-"} if self._at else {}

    def take(self, answer: httpx.Response) -> None:
        if self._at and not self._goes_on(answer):
            raise NotUnderstood
        for chunk in answer.iter_raw():
            self._writer.write(chunk)
            self._at += len(chunk)

    def _goes_on(self, answer: httpx.Response) -> bool:
        said = answer.headers.get("content-range", "")
        return answer.status_code == HTTPStatus.PARTIAL_CONTENT and said.startswith(
            f"bytes {self._at}-"
        )


def _path(mailbox: MailboxId, blob: BlobId) -> str:
    return f"mailboxes/{b64u(mailbox)}/blobs/{b64u(blob)}"


def _length(deposit: BlobDeposit, data: bytes | BinaryIO) -> int:
    """Of bytes it is what they have, so that the relay is who judges them."""
    return len(data) if isinstance(data, bytes) else deposit.size


def _from(data: bytes | BinaryIO, start: int) -> bytes | Iterator[bytes]:
    if isinstance(data, bytes):
        return data[start:]
    data.seek(start)
    return iter(lambda: data.read(_CHUNK), b"")
