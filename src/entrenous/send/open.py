"""Open a received message: check its files; two shares make its key (docs/spec/content.md, section
3).
"""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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
from entrenous.device.relay_lock_client import when_in_words
from entrenous.device.sent_messages import UnknownMessage
from entrenous.device.vault_tables import FINISH, inbox_key, load_record, store_record
from entrenous.media.copies.cursor import NotACopy
from entrenous.send.clock_sanity import is_clock_odd
from entrenous.send.formats.message_format import Unpadding, read_frame, write_manifest
from entrenous.send.inbox import find_received, has_expired, store_message_state
from entrenous.send.letter.letter_nouns import (
    BadContent,
    Content,
    ContentFile,
    FileRole,
    Frame,
    FrameFile,
    Manifest,
)
from entrenous.send.letter.receipts_owed import note_exported
from entrenous.send.message.blob_transfer import download, forget_parts
from entrenous.send.message.states import (
    ExportForbidden,
    Finishing,
    InboxState,
    NotThereYet,
    OddClock,
    OpenedElsewhere,
    Received,
    RemovedHere,
)
from entrenous.send.message.transfer_progress import UNWATCHED, TransferWatch

_FRAME_BYTES_MAX: Final = 256 * 1024  # 64 files and the longest text have less
#: Writes a whole file of a message to where it is shown, a chunk at a time.
Fill = Callable[[BinaryIO], None]
#: Shows one file, by its number from 1; what it raises undoes the opening as far as that goes. It
#: may leave that to the text's turn: until then every Fill writes.
Show = Callable[[int, FrameFile, Fill], None]
#: Shows the text, once all files are shown; what it raises undoes the opening too.
Tell = Callable[[Frame], None]
#: Told how many bytes its files have at most, where it has any, before the relay is asked for its
#: share of their key. What it raises leaves the message unopened: it can still be taken back.
Ready = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Unlocked:
    """A message that can be shown: its blobs as they lie in the vault, and their key."""

    received: Received
    blobs: tuple[BlobId, ...]
    key: Secret
    frame: Frame


def _ready(_: int) -> None:
    """Who shows them in memory has room."""


def open_message_to(  # noqa: PLR0913, PLR0917 - who is shown what, and who looks on
    name: str,
    show: Show,
    device: Device,
    watch: TransferWatch = UNWATCHED,
    tell: Tell | None = None,
    ready: Ready = _ready,
    *,
    export: bool = False,
) -> Frame:
    """Show the files of a message, one after the other; its text, and what its files are.

    The first time asks the relay for its share of the key, and each time where openings are
    counted; else later openings read the vault. A counted opening that ``show`` or ``tell`` breaks
    off may be repeated: it is over when all was shown. A text that is shown after this has returned
    is lost if the process dies in between. ``export``: what is shown will be kept, which its sender
    has to allow, and is told, where openings are counted.

    Raises:
        ExportForbidden, UnknownMessage, TakenBack, Expired, UsedUp, OpenedElsewhere, BlobChanged,
        DoesNotOpen, RemovedHere, OddClock, BadContent, RelayUnreachable; NotThereYet: it has not
        ended, and its relay does not know it; what ``show``, ``tell`` and ``ready`` raise.
    """
    received = find_received(name, device)
    _refuse_ended(received)
    if export:
        insist_on_export(received)
    if received.key is not None and has_expired(received, device):  # else its relay says so
        raise OddClock(name=name, when=when_in_words(received.expires_at))
    unlocked = _unlocked(received, device, watch, ready)
    if received.opens is None and received.key is None:
        _keep(unlocked, device)
    _show(unlocked, show, device)
    if tell is not None:
        tell(unlocked.frame)
    if received.opens is not None:
        _let_go(unlocked, device, export=export)
    finish_openings(device)
    return unlocked.frame


def open_message(name: str, device: Device) -> Content:
    """As :func:`open_message_to`, with all files in memory."""
    files: list[ContentFile] = []

    def show(_number: int, file: FrameFile, fill: Fill) -> None:
        held = io.BytesIO()
        fill(held)
        files.append(ContentFile(file.media_type, held.getvalue(), file.role))

    frame = open_message_to(name, show, device)
    return Content(tuple(files), frame.text)


def download_message(name: str, device: Device, watch: TransferWatch = UNWATCHED) -> None:
    """Fetch all that a message consists of, sealed, and ask for no share: whoever opens it next
    need not wait, and it can still be taken back.

    Raises:
        UnknownMessage, TakenBack, Expired, UsedUp, OpenedElsewhere, BlobChanged, RemovedHere,
        RelayUnreachable, DiskFull.
    """
    received = find_received(name, device)
    _refuse_ended(received)
    if received.key is None and received.manifest is not None:
        with suppress(NoSuchBlob):  # who asks for its share is told why
            download(received, received.manifest, device, watch)


def insist_on_export(received: Received) -> None:
    """Raises ExportForbidden where openings are counted, and the sender did not allow it."""
    manifest = received.manifest
    if received.opens is not None and manifest is not None and not manifest.may_export:
        raise ExportForbidden(name=received.name)


def finish_openings(device: Device) -> None:
    """Tell relays what is over here, so that they can let go; the silent ones hear it later."""
    for key, _ in list(device.vault.items(FINISH)):
        finishing = load_record(Finishing, FINISH, key, device.vault)
        try:
            if finishing is not None:
                _finish(finishing, device)
        except Unreachable:
            continue
        except EntrenousError:
            pass  # it has nothing left to let go
        device.vault.drop(FINISH, key)


def _refuse_ended(received: Received) -> None:
    if received.state is InboxState.TAKEN_BACK:
        raise TakenBack
    if received.state is InboxState.USED_UP:
        raise UsedUp
    if received.state is InboxState.ELSEWHERE:
        raise OpenedElsewhere(name=received.name)
    if received.state is InboxState.REMOVED:
        raise RemovedHere(name=received.name)
    if received.state is InboxState.EXPIRED:
        raise Expired(when=when_in_words(received.expires_at))


def _unlocked(received: Received, device: Device, watch: TransferWatch, ready: Ready) -> _Unlocked:
    """The message with its key; one that turns out to have ended is settled so."""
    if received.key is not None:
        frame = _frame(received.kept[0], received.key, device)
        return _Unlocked(received, received.kept, received.key, frame)
    received = _with_attempt(received, device)
    try:
        return _asked(received, device, watch, ready)
    except TakenBack:
        store_message_state(received, InboxState.TAKEN_BACK, device)
        raise
    except UsedUp:
        _settle_used_up(received, device)
        raise
    except (Expired, NoSuchEnvelope) as why:
        early = device.clock.now() < _ends_at(received) or is_clock_odd(device)
        if isinstance(why, NoSuchEnvelope) and early:
            # A relay that crashed, or went back, gets it again from whoever heard no answer.
            raise NotThereYet(name=received.name) from None
        store_message_state(received, InboxState.EXPIRED, device)
        raise Expired(when=when_in_words(received.expires_at)) from None


def _ends_at(received: Received) -> datetime:
    """When no relay has it any more."""
    return received.expires_at or received.sent_at + timedelta(days=EXPIRY_DAYS_MAX)


def _settle_used_up(received: Received, device: Device) -> None:
    """What was used up and not here was used up elsewhere."""
    if received.opens is None or received.views >= received.opens:
        store_message_state(received, InboxState.USED_UP, device)
        return
    store_message_state(received, InboxState.ELSEWHERE, device)
    raise OpenedElsewhere(name=received.name) from None


def _with_attempt(received: Received, device: Device) -> Received:
    """Name this opening before asking for it, so that a crash in between does not count twice."""
    if received.attempt is not None:
        return received
    named = replace(received, attempt=device.dice.token(ID_BYTES))
    store_message_state(named, named.state, device)
    return named


def _asked(received: Received, device: Device, watch: TransferWatch, ready: Ready) -> _Unlocked:
    """All of it downloaded, and then the share."""
    manifest = received.manifest
    if manifest is None:
        raise UnknownMessage(name=received.name)
    try:
        blobs = download(received, manifest, device, watch)
    except NoSuchBlob:
        # The relay drops blob and share together; asking for the share says why.
        _share(received, manifest, device)
        raise
    if len(manifest.blobs) > 1:
        ready(sum(ref.size for ref in manifest.blobs[1:]))
    key = _key(received, manifest, _share(received, manifest, device))
    frame = _frame(blobs[0], key, device)
    if len(blobs) != 1 + len(frame.files):
        raise BadContent
    return _Unlocked(received, blobs, key, frame)


def _share(received: Received, manifest: Manifest, device: Device) -> Secret:
    if received.attempt is None:
        raise UnknownMessage(name=received.name)
    return device.courier.open_share(
        manifest.relay_url, received.envelope, manifest.open_token, received.attempt
    )


def _key(received: Received, manifest: Manifest, share: Secret) -> Secret:
    return content_key(
        manifest.secret,
        share,
        message=received.id,
        envelope=received.envelope,
        manifest=write_manifest(manifest),
    )


def _frame(blob: BlobId, key: Secret, device: Device) -> Frame:
    held = _Held()
    with device.vault.reading(blob) as untrusted_file:
        decrypt_stream(blob_key(key, 0), untrusted_file, held)
    return read_frame(held.getvalue())


def _show(unlocked: _Unlocked, show: Show, device: Device) -> None:
    for place, file in enumerate(unlocked.frame.files, 1):

        def fill(writer: BinaryIO, place: int = place, size: int = file.size) -> None:
            inner = Unpadding(writer, size)
            with device.vault.reading(unlocked.blobs[place]) as untrusted_file:
                key = blob_key(unlocked.key, place)
                decrypt_stream(key, untrusted_file, cast("BinaryIO", inner))
            inner.insist()

        show(place, file, fill)


def _keep(unlocked: _Unlocked, device: Device) -> None:
    """Keep what may be opened any number of times: the files as they came, and their key."""
    received, key = unlocked.received, unlocked.key
    kept = replace(received, kept=unlocked.blobs, key=key, text=unlocked.frame.text)
    with device.vault.together():
        forget_parts(received, device.vault, files=False)
        store_message_state(kept, InboxState.OPENED, device)
        _note_finish(received, device)


def _let_go(unlocked: _Unlocked, device: Device, *, export: bool) -> None:
    """Keep nothing of what was shown; after the last opening, not even our half of the key."""
    received = unlocked.received
    shown = replace(received, views=received.views + 1, attempt=None)
    with device.vault.together():
        _note_finish(received, device)
        forget_parts(received, device.vault)
        store_message_state(shown, InboxState.OPENED, device)
        if export:
            note_exported(received, device)
        if received.opens is not None and shown.views >= received.opens:
            store_message_state(replace(shown, state=InboxState.OPENED), InboxState.USED_UP, device)


def _note_finish(received: Received, device: Device) -> None:
    manifest, attempt = received.manifest, received.attempt
    if manifest is None or attempt is None:
        return
    finishing = Finishing(manifest.relay_url, received.envelope, manifest.open_token, attempt)
    key = f"{inbox_key(received.sender, received.id)} {attempt.hex()}"
    store_record(finishing, FINISH, key, device.vault)


def _finish(finishing: Finishing, device: Device) -> None:
    device.courier.finish(
        finishing.relay_url, finishing.envelope, finishing.open_token, finishing.attempt
    )


class _Held(io.BytesIO):
    """A frame in memory, as long as any may be."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > _FRAME_BYTES_MAX:
            raise BadContent
        return super().write(data)


_SORTS: Final = {FileRole.PICTURE: "image", FileRole.CLIP: "video", FileRole.VOICE: "audio"}


def unsafe_files(
    files: Sequence[tuple[FrameFile, Callable[[BinaryIO], None]]], device: Device
) -> tuple[int, ...]:
    """The numbers, from 1, of the files that no sender of ours would have written.

    Each is read once, as a whole, by a jailed process.

    Raises:
        DecoderDidNotStart: there is no process to ask, so nothing is known of them.
        What writing them raises.
    """
    return tuple(number for number, one in enumerate(files, 1) if not _is_copy(*one, device))


def _is_copy(file: FrameFile, fill: Callable[[BinaryIO], None], device: Device) -> bool:
    if file.media_type.partition("/")[0] != _SORTS[file.role]:
        return False
    try:
        device.check_copy(file.media_type, file.size, fill)
    except NotACopy:
        return False
    return True
