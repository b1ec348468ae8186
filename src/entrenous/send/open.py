"""Open a received message: two shares make its key (docs/spec/content.md section 3)."""

from dataclasses import replace

from entrenous.craft.crypto.blob import check_blob, decrypt_blob
from entrenous.craft.crypto.derive import blob_key, content_key
from entrenous.craft.wire.letter.content import read_frame, unpad_file
from entrenous.craft.wire.letter.letter import write_manifest
from entrenous.model.envelope import Expired, NoSuchBlob, NoSuchEnvelope, TakenBack, UsedUp
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.ids import ID_BYTES
from entrenous.model.letter import BadContent, BlobRef, Content, ContentFile, Manifest
from entrenous.model.message import InboxState, Received, UnknownMessage
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.drawers import FINISH, INBOX, inbox_key, take
from entrenous.send.inbox import find_received, settle, when_in_words


def open_message(name: str, device: Device) -> Content:
    """The files of a message.

    The first time asks the relay for its share of the key; later openings read the vault. The blobs
    are fetched before the share is asked for, so that a broken download uses up nothing.

    Raises:
        UnknownMessage, TakenBack, Expired, UsedUp, BlobChanged, RelayUnreachable.
    """
    received = find_received(name, device)
    _refuse_ended(received)
    if received.kept:
        return _kept(received, device)
    received = _with_attempt(received, device)
    try:
        padded = _unlock(received, device)
    except TakenBack:
        settle(received, InboxState.TAKEN_BACK, device)
        raise
    except UsedUp:
        settle(received, InboxState.USED_UP, device)
        raise
    except (Expired, NoSuchEnvelope):
        settle(received, InboxState.EXPIRED, device)
        raise Expired(when=when_in_words(received.expires_at)) from None
    return _take_in(received, padded, device)


def _refuse_ended(received: Received) -> None:
    if received.state is InboxState.TAKEN_BACK:
        raise TakenBack
    if received.state is InboxState.USED_UP:
        raise UsedUp
    if received.state is InboxState.EXPIRED:
        raise Expired(when=when_in_words(received.expires_at))


def _with_attempt(received: Received, device: Device) -> Received:
    """Name this opening before asking for it, so that a crash in between does not count twice."""
    if received.attempt is not None:
        return received
    named = replace(received, attempt=device.dice.token(ID_BYTES))
    settle(named, named.state, device)
    return named


def _unlock(received: Received, device: Device) -> list[bytes]:
    """The padded blobs of a message."""
    manifest = received.manifest
    if manifest is None or received.attempt is None:
        raise UnknownMessage(name=received.name)
    blobs = [_fetch(ref, received, manifest, device) for ref in manifest.blobs]
    share = device.courier.open_share(
        manifest.relay_url, received.envelope, manifest.open_token, received.attempt
    )
    key = _key(received, manifest, share)
    return [decrypt_blob(blob_key(key, place), data) for place, data in enumerate(blobs)]


def _fetch(ref: BlobRef, received: Received, manifest: Manifest, device: Device) -> bytes:
    try:
        data = device.courier.blob(manifest.relay_url, ref.id, manifest.fetch_token)
    except NoSuchBlob:
        # The relay drops blob and share together; asking for the share says why.
        _ask_why(received, manifest, device)
        raise
    check_blob(ref, data)
    return data


def _ask_why(received: Received, manifest: Manifest, device: Device) -> None:
    if received.attempt is not None:
        device.courier.open_share(
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


def _take_in(received: Received, padded: list[bytes], device: Device) -> Content:
    content = _content(padded)
    parts = [padded[0], *(file.data for file in content.files)]
    with device.vault.together():
        kept = tuple(device.vault.keep(part) for part in parts)
        settle(replace(received, kept=kept), InboxState.OPENED, device)
        device.vault.put(FINISH, inbox_key(received.sender, received.id), b"")
    finish_openings(device)
    return content


def _content(padded: list[bytes]) -> Content:
    frame, files = read_frame(padded[0]), padded[1:]
    if len(files) != len(frame.files):
        raise BadContent
    return Content(
        tuple(
            ContentFile(said.media_type, unpad_file(file, said.size), said.role)
            for said, file in zip(frame.files, files, strict=True)
        ),
        frame.text,
    )


def _kept(received: Received, device: Device) -> Content:
    frame, *files = map(device.vault.kept, received.kept)
    said = read_frame(frame)
    return Content(
        tuple(
            ContentFile(one.media_type, data, one.role)
            for one, data in zip(said.files, files, strict=True)
        ),
        said.text,
    )


def finish_openings(device: Device) -> None:
    """Tell relays what is on disk here, so that they can let go; the silent ones hear it later."""
    for key, _ in list(device.vault.items(FINISH)):
        received = take(Received, INBOX, key, device.vault)
        try:
            if received is not None:
                _finish(received, device)
        except Unreachable:
            continue
        except EntrenousError:
            pass  # it has nothing left to let go
        device.vault.drop(FINISH, key)


def _finish(received: Received, device: Device) -> None:
    if received.manifest is not None and received.attempt is not None:
        device.courier.finish(
            received.manifest.relay_url,
            received.envelope,
            received.manifest.open_token,
            received.attempt,
        )
