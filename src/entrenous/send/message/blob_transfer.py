"""Upload the blobs of an outbox item, and download a message's blobs into the vault.

A large upload resumes where it stopped (docs/spec/relay.md, section 4), and so does a download.
Downloaded blobs stay sealed (docs/spec/content.md, section 3).
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from entrenous.base.errors import NoSuchBlob, WrongOffset
from entrenous.base.identifiers import BlobId
from entrenous.base.limits import RESUMABLE_UPLOAD_BYTES_MIN
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import check_blob
from entrenous.crypto.nouns import BlobChanged, BlobRef
from entrenous.device.device import Device, Vault
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE
from entrenous.device.vault_tables import inbox_key
from entrenous.send.letter.letter_nouns import Manifest
from entrenous.send.message.states import PARTIAL_DOWNLOAD_TABLE, PartialDownload, ReceivedMessage
from entrenous.send.message.transfer_progress import ByteCounter, TransferStage, TransferWatch
from entrenous.send.outbox import OutboxItem
from entrenous.wire.relay_nouns import BlobDeposit

SentBytesCallback = Callable[[int], None]  # called with the number of further bytes sent


def ignore_sent_bytes(_size: int) -> None:
    """Ignore the progress of an upload; a no-op :data:`SentBytesCallback`."""


def is_worth_resuming(item: OutboxItem) -> bool:
    """Return whether an upload is so large that it should resume instead of starting again."""
    return item.blob_bytes >= RESUMABLE_UPLOAD_BYTES_MIN


def upload_blobs(
    item: OutboxItem, device: Device, on_sent: SentBytesCallback = ignore_sent_bytes
) -> None:
    """Upload all blobs of an item, one after another.

    Each is stored durably at the relay before the next upload begins.

    Raises:
        RelayUnreachable: an upload was interrupted; the relay keeps the received bytes for a day.
        The error with which the relay refused.
    """
    copy = COPY_DELIVERY_TABLE.load(item.envelope.id.hex(), device.vault)
    token = copy.withdraw_token if copy is not None and is_worth_resuming(item) else None
    for deposit, kept in item.blobs:
        _BlobUpload(item, deposit, kept, token, device).upload(on_sent)


@dataclass(slots=True)
class _BlobUpload:
    """The upload of one blob.

    ``withdraw`` is the withdraw token of the copy, which is used here only to ask the relay how
    much it has received; it is None if the relay is not to be asked.
    """

    item: OutboxItem
    deposit: BlobDeposit
    kept: BlobId
    withdraw: Secret | None
    device: Device

    def upload(self, on_sent: SentBytesCallback) -> None:
        start = self._bytes_at_relay() if self.item.begun else 0
        with self.device.vault.open_sealed_file(self.kept) as file:
            counted, best, idle = _CountedReader(file, on_sent), start, 0
            while True:
                reader = counted.prepare_upload_from(start, once=self.withdraw is not None)
                try:
                    self.device.courier.upload_blob(
                        self.item.relay_url, self.item.token, self.deposit, reader, start
                    )
                except _RestartRequestedError:
                    start = self._bytes_at_relay()
                    idle, best = (0, start) if start > best else (idle + 1, best)
                except WrongOffset:
                    if start == 0:
                        raise
                    start, idle = 0, idle + 1  # the relay lost the bytes that it had
                else:
                    return counted.report_progress(self.deposit.size)
                if idle > _UPLOAD_TRIES_WITHOUT_PROGRESS_MAX:
                    # After several tries without progress, the relay is not asked again how much
                    # arrived. Only the timeout of the HTTP client (the courier) ends the upload.
                    self.withdraw, start = None, 0

    def _bytes_at_relay(self) -> int:
        if self.withdraw is None:
            return 0
        url, deposit = self.item.relay_url, self.deposit
        size = self.device.courier.uploaded_size(url, deposit.mailbox, deposit.id, self.withdraw)
        return min(size, deposit.size)


_UPLOAD_TRIES_WITHOUT_PROGRESS_MAX: Final = 3


class _RestartRequestedError(Exception):
    """The connection was lost, and the HTTP client tried to rewind the file a second time.

    Before the blob is sent again, :class:`_BlobUpload` asks the relay how much arrived.
    """


class _CountedReader(io.BufferedIOBase):
    """A file that reports how much was read. If ``once`` is true for an attempt to upload it, the
    HTTP client can set the position in the file only once.
    """

    def __init__(self, file: BinaryIO, on_sent: SentBytesCallback) -> None:
        self._file, self._on_sent, self._reported = file, on_sent, 0
        self._seeks_left: int | None = None

    def prepare_upload_from(self, start: int, *, once: bool) -> BinaryIO:
        self._seeks_left = 1 if once else None
        self.report_progress(start)
        return cast("BinaryIO", self)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._file.read(-1 if size is None else size)
        self.report_progress(self._file.tell())
        return data

    def seek(self, place: int, whence: int = io.SEEK_SET, /) -> int:
        if self._seeks_left == 0:
            raise _RestartRequestedError
        self._seeks_left = None if self._seeks_left is None else 0
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def report_progress(self, place: int) -> None:
        if place > self._reported:
            self._on_sent(place - self._reported)
            self._reported = place


def download_blobs(
    received: ReceivedMessage, manifest: Manifest, device: Device, watch: TransferWatch
) -> tuple[BlobId, ...]:
    """Download all blobs of a message into the vault, sealed, and check them.

    Raises:
        BlobChanged: the relay sent bytes other than those that the sender named; they were not
            kept.
        NoSuchBlob, RelayUnreachable, DiskFull.
    """
    counted = ByteCounter(TransferStage.FETCHING, sum(ref.size for ref in manifest.blobs), watch)
    message_key = inbox_key(received.sender, received.id)
    return tuple(
        _download_blob(ref, f"{message_key} {place:04d}", manifest, device, counted)
        for place, ref in enumerate(manifest.blobs)
    )


def delete_partial_downloads(
    received: ReceivedMessage, vault: Vault, *, files: bool = True
) -> None:
    """Delete the records of a message's downloads, and the downloaded files if ``files`` is
    true.
    """
    for key in PARTIAL_DOWNLOAD_TABLE.keys(vault, f"{inbox_key(received.sender, received.id)} "):
        part = PARTIAL_DOWNLOAD_TABLE.load(key, vault)
        if part is not None and files:
            vault.delete_file(part.kept)
        PARTIAL_DOWNLOAD_TABLE.drop(key, vault)


def _download_blob(
    ref: BlobRef, key: str, manifest: Manifest, device: Device, counted: ByteCounter
) -> BlobId:
    part = PARTIAL_DOWNLOAD_TABLE.load(key, device.vault)
    present = _resume_offset(part, ref, device.vault)
    if part is not None and part.whole and present == ref.size:
        counted.add(ref.size)
        return part.kept
    if part is None or present is None:
        part, present = _begin_download(key, part, device.vault), 0
    elif present:
        counted.add(present)
        if _fetch_and_check(part, present, ref, manifest, device, counted.add):
            return _mark_download_complete(part, key, device.vault)
        # A power cut may have damaged earlier bytes: start over.
        part = _begin_download(key, part, device.vault)
    if _fetch_and_check(part, 0, ref, manifest, device, counted.add):
        return _mark_download_complete(part, key, device.vault)
    with device.vault.transaction():
        device.vault.delete_file(part.kept)
        PARTIAL_DOWNLOAD_TABLE.drop(key, device.vault)
    raise BlobChanged


def _resume_offset(part: PartialDownload | None, ref: BlobRef, vault: Vault) -> int | None:
    """Return the number of bytes present; None if the download cannot be continued."""
    try:
        present = None if part is None else vault.sealed_file_size(part.kept)
    except NoSuchBlob:
        return None
    return None if present is None or present > ref.size else present


def _begin_download(key: str, before: PartialDownload | None, vault: Vault) -> PartialDownload:
    """Delete the file of the earlier download, if there is one, and begin a download with an empty
    file. The file and its record are stored in one transaction.
    """
    with vault.transaction():
        if before is not None:
            vault.delete_file(before.kept)
        part = PartialDownload(vault.store_sealed_file(b""))
        PARTIAL_DOWNLOAD_TABLE.store(part, key, vault)
    return part


def _fetch_and_check(  # noqa: PLR0913, PLR0917 - a download needs each of these
    part: PartialDownload,
    present: int,
    ref: BlobRef,
    manifest: Manifest,
    device: Device,
    on_bytes: Callable[[int], None],
) -> bool:
    """Download the missing bytes; return whether the blob matches the letter's reference."""
    if present < ref.size:
        with device.vault.append_to_sealed_file(part.kept) as file:
            rest = cast("BinaryIO", _LimitedWriter(file, ref.size - present, on_bytes))
            device.courier.download_blob(
                manifest.relay_url, ref.id, manifest.fetch_token, rest, present
            )
    with device.vault.open_sealed_file(part.kept) as file:
        try:
            check_blob(ref, file)
        except BlobChanged:
            return False
    return True


def _mark_download_complete(part: PartialDownload, key: str, vault: Vault) -> BlobId:
    PARTIAL_DOWNLOAD_TABLE.store(PartialDownload(part.kept, whole=True), key, vault)
    return part.kept


class _LimitedWriter:
    """Writes the missing bytes of a blob and rejects any further byte."""

    def __init__(self, file: BinaryIO, left: int, more: Callable[[int], None]) -> None:
        self._file, self._left, self._more = file, left, more

    def write(self, data: bytes) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise BlobChanged
        self._file.write(data)
        self._more(len(data))
        return len(data)
