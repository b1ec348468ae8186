"""Begin anew on a device that an earlier version set up: new keys, and everybody is added again.

What was marked, sent and traced stays, so a leak of an earlier copy is found as before. Letters and
keys of before can be used by nobody any more, so they go. A copy that was sent can still be looked
after and taken back, for that needs only a token.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import msgspec

from entrenous.craft.wire.record import unpack
from entrenous.model.identity import AlreadySetUp, Identity
from entrenous.model.ids import BlobId
from entrenous.model.outbox import Posting
from entrenous.model.record import BadRecord
from entrenous.model.sealed_copy import Departure, SealedCopy
from entrenous.ports import Device
from entrenous.send import drawers
from entrenous.send.devices.self import EARLIER, IDENTITY, UNFINISHED, is_of_an_earlier_version
from entrenous.send.drawers import SELF
from entrenous.send.setup import set_up

_UNPUBLISHED: Final = "prekeys"
_INBOX: Final = "inbox"  # as version 1 called these four
_CORRESPONDENCE: Final = (
    *("contact", "peer", "own-key", "chore", "given", "withdraw", _INBOX),
    *(drawers.CONTACT, drawers.INVITE, drawers.CHORE, drawers.BATCH, drawers.WITHDRAW),
    *(drawers.WITHDRAWN, drawers.WINDOW_IN, drawers.WINDOW_OLD, drawers.WINDOW_OUT),
    *(drawers.PEER, drawers.OWN_KEY, drawers.OUTBOX, drawers.INBOX, drawers.SEEN),
    drawers.INBOX_NAME,
    *(drawers.SEEN_MESSAGE, drawers.GREET, drawers.RECALLED, drawers.FINISH, drawers.ASIDE),
)


def renew(name: str, relay_url: str | None, device: Device) -> Identity:
    """Set a device up again that an earlier version did; may be repeated until it succeeds.

    Raises:
        AlreadySetUp: this version did, or it was set up without a relay.
        BadName, BadRelayAddress, NotEncrypted, RelayUnreachable, ProtocolTooOld.
    """
    if not is_of_an_earlier_version(device):
        raise AlreadySetUp
    _forget_correspondence(device)
    try:
        identity = set_up(name, relay_url, device)
    except BaseException:
        with device.vault.together():  # so that it is of an earlier version again
            for key in (IDENTITY, UNFINISHED, _UNPUBLISHED):
                device.vault.drop(SELF, key)
        raise
    device.vault.drop(SELF, EARLIER)
    return identity


def _forget_correspondence(device: Device) -> None:
    blobs = [*_waiting(device), *_opened(device)]
    with device.vault.together():
        for drawer in _CORRESPONDENCE:
            for key in device.vault.keys(drawer):
                device.vault.drop(drawer, key)
        _bring_along_copies(device)
        for key in (UNFINISHED, _UNPUBLISHED):
            device.vault.drop(SELF, key)
    for blob in blobs:
        device.vault.forget(blob)


def _bring_along_copies(device: Device) -> None:
    """One that cannot be read at all goes: it would be in the way of all the others."""
    for key, record in device.vault.items(drawers.SEALED):
        copy = _copy_of(record)
        if copy is None:
            device.vault.drop(drawers.SEALED, key)
        else:
            drawers.lay(copy, drawers.SEALED, key, device.vault)


def _copy_of(record: bytes) -> SealedCopy | None:
    """Version 1 noted of a copy only whether its relay had answered; if not, it may have it."""
    with suppress(BadRecord):
        return unpack(SealedCopy, record)
    with suppress(BadRecord, msgspec.MsgspecError, AttributeError, KeyError, TypeError):
        fields = msgspec.msgpack.decode(record)
        came = fields.pop("acknowledged")
        fields["departure"] = (Departure.ACKNOWLEDGED if came else Departure.TRIED).value
        return unpack(SealedCopy, msgspec.msgpack.encode(fields))
    return None


def _waiting(device: Device) -> Iterator[BlobId]:
    """The files of what has not left."""
    for _, record in device.vault.items(drawers.OUTBOX):
        with suppress(BadRecord):
            yield from (kept for _, kept in unpack(Posting, record).blobs)


def _opened(device: Device) -> Iterator[BlobId]:
    """The files of what was opened: version 1 kept one for each message."""
    for _, record in device.vault.items(_INBOX):
        kept = msgspec.msgpack.decode(record).get("kept")
        if kept is not None:
            yield BlobId(kept)
