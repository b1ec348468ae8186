"""Open a received message: check its files and derive its key from two shares
(docs/spec/content.md, section 3).
"""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import BinaryIO, Final, cast

from entrenous.base.errors import (
    EntrenousError,
    Expired,
    NoSuchBlob,
    NoSuchEnvelope,
    TakenBack,
    Unreachable,
    UsedUp,
)
from entrenous.base.identifiers import ID_BYTES, BlobId
from entrenous.base.limits import EXPIRY_DAYS_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import decrypt_stream
from entrenous.crypto.key_derivation import blob_key, content_key
from entrenous.device.device import Device
from entrenous.device.relay_lock_client import moment_or_earlier_day
from entrenous.device.sent_messages import UnknownMessage
from entrenous.device.vault_tables import UNREPORTED_OPENING, inbox_key
from entrenous.media.copies.cursor import NotACopy
from entrenous.send.clock_sanity import is_clock_implausible
from entrenous.send.formats.message_format import UnpaddingWriter, read_frame, write_manifest
from entrenous.send.inbox import find_received_message, has_expired, store_message_state
from entrenous.send.letter.letter_nouns import (
    BadContent,
    ContentFile,
    FileRole,
    Manifest,
    MessageFileEntry,
    MessageFrame,
    OpenedContent,
)
from entrenous.send.letter.receipts import owe_export_receipt
from entrenous.send.message.blob_transfer import delete_partial_downloads, download_blobs
from entrenous.send.message.states import (
    MESSAGE_EVENT_ERRORS,
    UNREPORTED_OPENING_TABLE,
    CompletedOpening,
    ExportForbidden,
    ImplausibleClock,
    InboxState,
    MessageEvent,
    MessageNotAtRelay,
    OpenedElsewhere,
    ReceivedMessage,
    UnsafeToShow,
)
from entrenous.send.message.transfer_progress import NO_WATCH, TransferWatch

_FRAME_BYTES_MAX: Final = 256 * 1024  # bytes; 64 files and the longest text need less
#: Writes a whole file of a message to a writer, a chunk at a time.
WriteFile = Callable[[BinaryIO], None]
#: Shows one file, numbered from 1. If openings are limited and it raises, the opening does not
#: count. The :data:`WriteFile` stays usable until the text is shown.
ShowFile = Callable[[int, MessageFileEntry, WriteFile], None]
#: Shows the text, after all files. If openings are limited and it raises, the opening does not
#: count.
ShowText = Callable[[MessageFrame], None]
#: Gets the maximum total size of the files in bytes, before the relay is asked for its key share;
#: not called for a message without files. If it raises, the message stays unopened and can still be
#: recalled.
CheckTotalSize = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _UnlockedMessage:
    """A message that can be shown: its blobs in the vault, and their key."""

    received: ReceivedMessage
    blobs: tuple[BlobId, ...]
    key: Secret
    frame: MessageFrame


def _accept_any_size(_: int) -> None:
    """Accept files of any total size."""


def show_received_message(  # noqa: PLR0913, PLR0917 - the message, and a callback for each stage
    name: str,
    show: ShowFile,
    device: Device,
    watch: TransferWatch = NO_WATCH,
    tell: ShowText | None = None,
    ready: CheckTotalSize = _accept_any_size,
    *,
    export: bool = False,
) -> MessageFrame:
    """Show a message's files one after another, then its text; return its :class:`MessageFrame`.

    The relay is asked for its key share at the first opening, and at each opening if openings are
    limited; otherwise later openings read the vault. A limited opening that ``show`` or ``tell``
    aborts may be repeated, since it counts only when everything was shown. If openings are limited,
    ``tell`` must show the text, since the opening counts before this function returns. With
    ``export``, the caller will keep the shown data. If openings are limited, the sender must have
    allowed this, and gets a receipt for it if they may get receipts.

    Raises:
        ExportForbidden, UnknownMessage, CannotOpenOwnMessage, TakenBack, Expired, UsedUp,
            OpenedElsewhere, BlobChanged, DecryptionFailed, MessageRemovedHere, ImplausibleClock,
            BadContent, RelayUnreachable.
        MessageNotAtRelay: the relay does not know the message, although the message has not expired
            as far as this device can tell.
        Whatever ``show``, ``tell`` and ``ready`` raise.
    """
    received = find_received_message(name, device)
    _refuse_ended_message(received)
    if export:
        _require_export_allowed(received)
    # The relay decides about a message whose key is not here.
    if received.key is not None:
        _refuse_expired_by_doubtful_clock(received, device)
    unlocked = _unlock_message(received, device, watch, ready)
    if received.opens is None and received.key is None:
        _keep_opened_files(unlocked, device)
    _show_files(unlocked, show, device)
    if tell is not None:
        tell(unlocked.frame)
    if received.opens is not None:
        _discard_shown_content(unlocked, device, export=export)
    report_finished_openings(device)
    return unlocked.frame


def open_message(name: str, device: Device) -> OpenedContent:
    """Like :func:`show_received_message`, but return all files in memory."""
    files: list[ContentFile] = []

    def keep_in_memory(_number: int, file: MessageFileEntry, fill: WriteFile) -> None:
        buffer = io.BytesIO()
        fill(buffer)
        files.append(ContentFile(file.media_type, buffer.getvalue(), file.role))

    frame = show_received_message(name, keep_in_memory, device)
    return OpenedContent(tuple(files), frame.text)


def stored_frame(name: str, device: Device) -> MessageFrame:
    """Return the list of files, and the text, of an opened message that is kept here.

    Raises:
        UnknownMessage: it is not kept here.
        ImplausibleClock: it has expired, but only by a clock that may be wrong.
    """
    return _unlocked_from_vault(name, device).frame


def stored_file(name: str, number: int, device: Device) -> ContentFile:
    """Return one file, numbered from 1, of an opened message that is kept here.

    Raises:
        UnknownMessage: it is not kept here.
        ImplausibleClock: it has expired, but only by a clock that may be wrong.
        UnsafeToShow: it is not a picture, clip or sound as Entrenous writes them.
    """
    kept, buffer = _unlocked_from_vault(name, device), io.BytesIO()
    if not 0 < number <= len(kept.frame.files):
        raise UnknownMessage(name=name)
    file, fill = kept.frame.files[number - 1], _file_writer(kept, number, device)
    fill(buffer)
    if not _has_our_format(file, fill, device):
        raise UnsafeToShow(name=name)
    return ContentFile(file.media_type, buffer.getvalue(), file.role)


def _unlocked_from_vault(name: str, device: Device) -> _UnlockedMessage:
    received = find_received_message(name, device)
    if received.key is None or not received.kept:
        raise UnknownMessage(name=name)
    _refuse_expired_by_doubtful_clock(received, device)
    frame = _read_frame(received.kept[0], received.key, device)
    return _UnlockedMessage(received, received.kept, received.key, frame)


def _refuse_expired_by_doubtful_clock(received: ReceivedMessage, device: Device) -> None:
    """Raise ImplausibleClock if the message has expired. By a plausible clock, it would have been
    marked as expired when it was found.
    """
    if has_expired(received, device):
        when = moment_or_earlier_day(received.expires_at)
        raise ImplausibleClock(name=received.name, when=when)


def download_message(name: str, device: Device, watch: TransferWatch = NO_WATCH) -> None:
    """Download a message's sealed blobs without asking for the key share. The next opening does not
    have to wait for the download, and until then the message can still be recalled.

    Raises:
        UnknownMessage, TakenBack, Expired, UsedUp, OpenedElsewhere, BlobChanged,
            MessageRemovedHere, RelayUnreachable, DiskFull.
    """
    received = find_received_message(name, device)
    _refuse_ended_message(received)
    if received.key is None and received.manifest is not None:
        with suppress(NoSuchBlob):  # asking for the share tells why the blob is gone
            download_blobs(received, received.manifest, device, watch)


def _require_export_allowed(received: ReceivedMessage) -> None:
    """Raise ExportForbidden if openings are limited and the sender did not allow export."""
    manifest = received.manifest
    if received.opens is not None and manifest is not None and not manifest.may_export:
        raise ExportForbidden(name=received.name)


def report_finished_openings(device: Device) -> None:
    """Report completed openings to their relays, so that the relays can delete shares and blobs.

    An opening whose relay is unreachable is reported again at the next call.
    """
    for key, _ in list(device.vault.items(UNREPORTED_OPENING)):
        finishing = UNREPORTED_OPENING_TABLE.load(key, device.vault)
        try:
            if finishing is not None:
                device.courier.finish_opening(
                    finishing.relay_url, finishing.envelope, finishing.open_token, finishing.attempt
                )
        except Unreachable:
            continue
        except EntrenousError:
            pass  # the relay has nothing left to delete
        UNREPORTED_OPENING_TABLE.drop(key, device.vault)


def _refuse_ended_message(received: ReceivedMessage) -> None:
    refusal = MESSAGE_EVENT_ERRORS.get((received.state, MessageEvent.OPEN))
    if refusal is not None:
        raise refusal(name=received.name, when=moment_or_earlier_day(received.expires_at))


def _unlock_message(
    received: ReceivedMessage, device: Device, watch: TransferWatch, ready: CheckTotalSize
) -> _UnlockedMessage:
    """Return the message with its key. If the relay answers that the message can no longer be
    opened, the new state is stored.
    """
    if received.key is not None:
        frame = _read_frame(received.kept[0], received.key, device)
        return _UnlockedMessage(received, received.kept, received.key, frame)
    received = _ensure_opening_attempt(received, device)
    try:
        return _download_and_unlock(received, device, watch, ready)
    except TakenBack:
        store_message_state(received, InboxState.TAKEN_BACK, device)
        raise
    except UsedUp:
        _record_openings_used_up(received, device)
        raise
    except (Expired, NoSuchEnvelope) as why:
        gone_at = received.expires_at or received.sent_at + timedelta(days=EXPIRY_DAYS_MAX)
        may_return = device.clock.now() < gone_at or is_clock_implausible(device)
        if isinstance(why, NoSuchEnvelope) and may_return:
            # A relay that crashed or was restored gets the message again from a sender who got no
            # answer.
            raise MessageNotAtRelay(name=received.name) from None
        store_message_state(received, InboxState.EXPIRED, device)
        raise Expired(when=moment_or_earlier_day(received.expires_at)) from None


def _record_openings_used_up(received: ReceivedMessage, device: Device) -> None:
    """Record that no openings are left.

    Raises:
        OpenedElsewhere: fewer openings were made here than the sender allowed, so another device
            made the others.
    """
    if received.opens is None or received.views >= received.opens:
        store_message_state(received, InboxState.USED_UP, device)
        return
    store_message_state(received, InboxState.ELSEWHERE, device)
    raise OpenedElsewhere(name=received.name) from None


def _ensure_opening_attempt(received: ReceivedMessage, device: Device) -> ReceivedMessage:
    """Store an attempt id before asking for the share, so that a crash costs no second opening."""
    if received.attempt is not None:
        return received
    named = replace(received, attempt=device.random_source.token(ID_BYTES))
    store_message_state(named, named.state, device)
    return named


def _download_and_unlock(
    received: ReceivedMessage, device: Device, watch: TransferWatch, ready: CheckTotalSize
) -> _UnlockedMessage:
    """Download all blobs, then ask for the key share."""
    manifest = received.manifest
    if manifest is None:
        raise UnknownMessage(name=received.name)
    try:
        blobs = download_blobs(received, manifest, device, watch)
    except NoSuchBlob:
        # The relay deletes blob and share together; asking for the share tells the reason.
        _request_key_share(received, manifest, device)
        raise
    if len(manifest.blobs) > 1:
        ready(sum(ref.size for ref in manifest.blobs[1:]))
    key = content_key(
        manifest.secret,
        _request_key_share(received, manifest, device),
        message=received.id,
        envelope=received.envelope,
        manifest=write_manifest(manifest),
    )
    frame = _read_frame(blobs[0], key, device)
    if len(blobs) != 1 + len(frame.files):
        raise BadContent
    return _UnlockedMessage(received, blobs, key, frame)


def _request_key_share(received: ReceivedMessage, manifest: Manifest, device: Device) -> Secret:
    if received.attempt is None:
        raise UnknownMessage(name=received.name)
    return device.courier.open_share(
        manifest.relay_url, received.envelope, manifest.open_token, received.attempt
    )


def _read_frame(blob: BlobId, key: Secret, device: Device) -> MessageFrame:
    buffer = _FrameBuffer()
    with device.vault.open_sealed_file(blob) as untrusted_file:
        decrypt_stream(blob_key(key, 0), untrusted_file, buffer)
    return read_frame(buffer.getvalue())


def _show_files(unlocked: _UnlockedMessage, show: ShowFile, device: Device) -> None:
    for place, file in enumerate(unlocked.frame.files, 1):
        show(place, file, _file_writer(unlocked, place, device))


def _file_writer(unlocked: _UnlockedMessage, place: int, device: Device) -> WriteFile:
    """Return a function that writes the file with this number, from 1."""

    def decrypt_file_into(writer: BinaryIO) -> None:
        inner = UnpaddingWriter(writer, unlocked.frame.files[place - 1].size)
        with device.vault.open_sealed_file(unlocked.blobs[place]) as untrusted_file:
            key = blob_key(unlocked.key, place)
            decrypt_stream(key, untrusted_file, cast("BinaryIO", inner))
        inner.require_complete()

    return decrypt_file_into


def _keep_opened_files(unlocked: _UnlockedMessage, device: Device) -> None:
    """Keep the sealed files and their key, for a message without an opening limit."""
    received, key = unlocked.received, unlocked.key
    kept = replace(received, kept=unlocked.blobs, key=key, text=unlocked.frame.text)
    with device.vault.transaction():
        delete_partial_downloads(received, device.vault, files=False)
        store_message_state(kept, InboxState.OPENED, device)
        _record_finished_opening(received, device)


def _discard_shown_content(unlocked: _UnlockedMessage, device: Device, *, export: bool) -> None:
    """Delete what was shown and, after the last opening, our share of the key."""
    received = unlocked.received
    shown = replace(received, views=received.views + 1, attempt=None)
    with device.vault.transaction():
        _record_finished_opening(received, device)
        delete_partial_downloads(received, device.vault)
        store_message_state(shown, InboxState.OPENED, device)
        if export:
            owe_export_receipt(received, device)
        if received.opens is not None and shown.views >= received.opens:
            store_message_state(replace(shown, state=InboxState.OPENED), InboxState.USED_UP, device)


def _record_finished_opening(received: ReceivedMessage, device: Device) -> None:
    manifest, attempt = received.manifest, received.attempt
    if manifest is None or attempt is None:
        return
    finishing = CompletedOpening(
        manifest.relay_url, received.envelope, manifest.open_token, attempt
    )
    key = f"{inbox_key(received.sender, received.id)} {attempt.hex()}"
    UNREPORTED_OPENING_TABLE.store(finishing, key, device.vault)


class _FrameBuffer(io.BytesIO):
    """A writer that keeps a message's frame (the list of its files, and its text) in memory.

    Raises BadContent beyond the largest valid size.
    """

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > _FRAME_BYTES_MAX:
            raise BadContent
        return super().write(data)


_MEDIA_TYPE_PREFIX_BY_ROLE: Final = {
    FileRole.PICTURE: "image",
    FileRole.CLIP: "video",
    FileRole.VOICE: "audio",
}


def find_unsafe_files(
    files: Sequence[tuple[MessageFileEntry, Callable[[BinaryIO], None]]], device: Device
) -> tuple[int, ...]:
    """Return the numbers, from 1, of the files that Entrenous would not have written.

    Each file is read once, as a whole, by a sandboxed process.

    Raises:
        DecoderDidNotStart: the process could not start, so nothing is known about the files.
        Whatever the fill functions raise.
    """
    return tuple(number for number, one in enumerate(files, 1) if not _has_our_format(*one, device))


def _has_our_format(
    file: MessageFileEntry, fill: Callable[[BinaryIO], None], device: Device
) -> bool:
    if file.media_type.partition("/")[0] != _MEDIA_TYPE_PREFIX_BY_ROLE[file.role]:
        return False
    try:
        device.check_copy(file.media_type, file.size, fill)
    except NotACopy:
        return False
    return True
