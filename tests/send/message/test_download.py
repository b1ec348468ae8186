"""Tests of downloads: resuming, wrong bytes, progress, and partial files of recalled messages."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pytest

from entrenous.base.errors import RelayUnreachable, TakenBack
from entrenous.base.identifiers import BlobId
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import BlobChanged
from entrenous.device.vault_tables import PARTIAL_DOWNLOAD
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import MessageFileEntry
from entrenous.send.message.states import ReceivedMessage
from entrenous.send.message.transfer_progress import TransferStage, TransferWatch
from entrenous.send.open import WriteFile, open_message, show_received_message
from entrenous.send.recall import recall_message
from tests.send.send_device import SMALL_PICTURE, Network, Person


@dataclass
class CountingCourier:
    """A courier that counts downloaded bytes, and can cut the connection."""

    courier: Any
    cut_after_bytes: int | None = None
    passed_bytes: int = 0  # counts 1000 bytes for each piece, even if the last piece is shorter
    byte_count: int = 0
    start_offsets: list[int] = field(default_factory=list)

    def download_blob(
        self, url: str, blob: BlobId, fetch_token: Secret, writer: BinaryIO, start: int = 0
    ) -> None:
        whole = io.BytesIO()
        self.courier.download_blob(url, blob, fetch_token, whole)
        self.start_offsets.append(start)
        for at in range(start, len(whole.getvalue()), 1000):
            if self.cut_after_bytes is not None and self.passed_bytes >= self.cut_after_bytes:
                raise RelayUnreachable(host="relay")
            piece = whole.getvalue()[at : at + 1000]
            writer.write(piece)
            self.passed_bytes, self.byte_count = (
                self.passed_bytes + 1000,
                self.byte_count + len(piece),
            )

    def __getattr__(self, call: str) -> Any:
        return getattr(self.courier, call)


@pytest.fixture
def ben(friends: Network) -> Person:
    """Return Ben, who has received a picture from Ana and has not opened it."""
    friends["ana"].send(SMALL_PICTURE, friends["ben"])
    fetch_messages(friends["ben"].device)
    return friends["ben"]


@pytest.fixture
def connection(ben: Person) -> Iterator[CountingCourier]:
    connection = CountingCourier(ben.device.courier)
    object.__setattr__(ben.device, "courier", connection)
    yield connection
    object.__setattr__(ben.device, "courier", connection.courier)


def newest_message(ben: Person) -> ReceivedMessage:
    return received_messages(ben.device)[-1]


def total_blob_size(ben: Person) -> int:
    manifest = newest_message(ben).manifest
    assert manifest is not None
    return sum(ref.size for ref in manifest.blobs)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_downloaded_bytes_are_not_requested_again(
    ben: Person, connection: CountingCourier, share: float
) -> None:
    total, name = total_blob_size(ben), newest_message(ben).name
    connection.cut_after_bytes = int(share * total)
    with pytest.raises(RelayUnreachable):
        open_message(name, ben.device)
    first, connection.cut_after_bytes = connection.byte_count, None
    assert open_message(name, ben.device).files
    assert connection.byte_count - first <= (1 - share) * total + 0.02 * total + 1000
    assert ben.courier.calls["open_share"] == 1


def test_a_corrupted_partial_download_starts_over(ben: Person, connection: CountingCourier) -> None:
    connection.cut_after_bytes = 6000
    with pytest.raises(RelayUnreachable):
        open_message(newest_message(ben).name, ben.device)
    connection.cut_after_bytes = None
    for name, data in ben.vault._files.items():
        if len(data) == 1000:  # the incomplete picture
            ben.vault._files[name] = bytes(1000)
    assert open_message(newest_message(ben).name, ben.device).files
    assert connection.start_offsets[-2:] == [1000, 0]


def test_a_blob_with_extra_bytes_is_not_kept(ben: Person, connection: CountingCourier) -> None:
    def write_endlessly(
        _url: str, _blob: BlobId, _token: Secret, writer: BinaryIO, _start: int = 0
    ) -> None:
        while True:
            writer.write(bytes(1000))

    name, honest = newest_message(ben).name, connection.download_blob
    connection.download_blob = write_endlessly  # type: ignore[method-assign]
    with pytest.raises(BlobChanged):
        open_message(name, ben.device)
    assert sum(map(len, ben.vault._files.values())) <= total_blob_size(ben)
    connection.download_blob = honest  # type: ignore[method-assign]
    assert open_message(name, ben.device).files


def test_partial_downloads_of_a_recalled_message_are_deleted(
    friends: Network, ben: Person, connection: CountingCourier
) -> None:
    before = dict(ben.vault._files)
    connection.cut_after_bytes = 6000
    with pytest.raises(RelayUnreachable):
        open_message(newest_message(ben).name, ben.device)
    assert len(ben.vault.keys(PARTIAL_DOWNLOAD)) == 2
    recall_message(newest_message(ben).name, friends["ana"].device)
    with pytest.raises(TakenBack):
        open_message(newest_message(ben).name, ben.device)
    assert ben.vault._files == before
    assert ben.vault.keys(PARTIAL_DOWNLOAD) == ()


def test_download_progress_reports_bytes(ben: Person, connection: CountingCourier) -> None:
    seen = list[tuple[TransferStage, int, int]]()

    def show(_number: int, _file: MessageFileEntry, fill: WriteFile) -> None:
        fill(io.BytesIO())

    watch = TransferWatch(lambda *step: seen.append(step))
    connection.cut_after_bytes = 3000
    with pytest.raises(RelayUnreachable):
        show_received_message(newest_message(ben).name, show, ben.device, watch)
    connection.cut_after_bytes = None
    show_received_message(newest_message(ben).name, show, ben.device, watch)
    assert {total for _, _, total in seen} == {total_blob_size(ben)}
    assert seen[-1] == (TransferStage.FETCHING, total_blob_size(ben), total_blob_size(ben))
