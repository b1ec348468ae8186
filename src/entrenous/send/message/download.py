"""Download a message's blobs into the vault, as they are: sealed (docs/spec/content.md section 3).

What came is kept when it breaks off, and the rest is asked for the next time, also after a restart.
A blob counts as here once it has the hash that its letter named.
"""

from collections.abc import Callable
from typing import BinaryIO, cast

from entrenous.craft.crypto.blob import check_blob
from entrenous.model.ids import BlobId
from entrenous.model.letter import BlobChanged, BlobRef, Manifest
from entrenous.model.opening import Part
from entrenous.model.received import Received
from entrenous.model.relay_problem import NoSuchBlob
from entrenous.ports import Device, Vault
from entrenous.send.drawers import DOWNLOAD, inbox_key, lay, take
from entrenous.send.message.watch import Counted, Stage, Watch


def download(
    received: Received, manifest: Manifest, device: Device, watch: Watch
) -> tuple[BlobId, ...]:
    """All blobs of a message, whole and checked, as sealed files in the vault.

    Raises:
        BlobChanged: the relay gave out other bytes than were sent; they were not kept.
        NoSuchBlob, RelayUnreachable, DiskFull.
    """
    counted = Counted(Stage.FETCHING, sum(ref.size for ref in manifest.blobs), watch)
    return tuple(
        _whole(ref, part_key(received, place), manifest, device, counted)
        for place, ref in enumerate(manifest.blobs)
    )


def forget_parts(received: Received, vault: Vault, *, files: bool = True) -> None:
    """Forget how far its downloads have come; without ``files``, what came stays kept."""
    for key in vault.keys(DOWNLOAD, f"{inbox_key(received.sender, received.id)} "):
        part = take(Part, DOWNLOAD, key, vault)
        if part is not None and files:
            vault.forget(part.kept)
        vault.drop(DOWNLOAD, key)


def part_key(received: Received, place: int) -> str:
    """The key of blob number ``place`` of a message in the drawer of downloads."""
    return f"{inbox_key(received.sender, received.id)} {place:04d}"


def _whole(ref: BlobRef, key: str, manifest: Manifest, device: Device, counted: Counted) -> BlobId:
    part = take(Part, DOWNLOAD, key, device.vault)
    came = _came(part, ref, device.vault)
    if part is not None and part.whole and came == ref.size:
        counted.more(ref.size)
        return part.kept
    if part is None or came is None:
        part, came = _begin(key, part, device.vault), 0
    elif came:
        counted.more(came)
        if _complete(part, came, ref, manifest, device, counted.more):
            return _checked(part, key, device.vault)
        # A power cut may have taken what lay in the middle of it: once more, from the beginning.
        part = _begin(key, part, device.vault)
    if _complete(part, 0, ref, manifest, device, counted.more):
        return _checked(part, key, device.vault)
    with device.vault.together():
        device.vault.forget(part.kept)
        device.vault.drop(DOWNLOAD, key)
    raise BlobChanged


def _came(part: Part | None, ref: BlobRef, vault: Vault) -> int | None:
    """How many bytes are here; None where nothing can be gone on with."""
    try:
        came = None if part is None else vault.size(part.kept)
    except NoSuchBlob:
        return None
    return None if came is None or came > ref.size else came


def _begin(key: str, before: Part | None, vault: Vault) -> Part:
    """A part of which nothing is here; file and record are there both, or neither."""
    with vault.together():
        if before is not None:
            vault.forget(before.kept)
        part = Part(vault.keep_sealed(b""))
        lay(part, DOWNLOAD, key, vault)
    return part


def _complete(  # noqa: PLR0913, PLR0917 - one blob's way from the relay to the vault
    part: Part,
    came: int,
    ref: BlobRef,
    manifest: Manifest,
    device: Device,
    more: Callable[[int], None],
) -> bool:
    """Fetch what is missing; whether the whole is what the letter named."""
    if came < ref.size:
        with device.vault.adding(part.kept) as file:
            rest = cast("BinaryIO", _Rest(file, ref.size - came, more))
            device.courier.blob_to(manifest.relay_url, ref.id, manifest.fetch_token, rest, came)
    with device.vault.reading(part.kept) as file:
        try:
            check_blob(ref, file)
        except BlobChanged:
            return False
    return True


def _checked(part: Part, key: str, vault: Vault) -> BlobId:
    lay(Part(part.kept, whole=True), DOWNLOAD, key, vault)
    return part.kept


class _Rest:
    """Takes what is missing of a blob and not a byte more."""

    def __init__(self, file: BinaryIO, left: int, more: Callable[[int], None]) -> None:
        self._file, self._left, self._more = file, left, more

    def write(self, data: bytes) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise BlobChanged
        self._file.write(data)
        self._more(len(data))
        return len(data)
