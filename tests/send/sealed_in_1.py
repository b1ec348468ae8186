"""A copy that was sent, as version 1 kept it."""

from typing import Any

import msgspec

from entrenous.craft.wire.record import pack
from entrenous.model.ids import DeviceId, EnvelopeId, MessageId, PersonId, RecipientId
from entrenous.model.sealed_copy import SealedCopy
from entrenous.model.secret import Secret
from tests.send.room import HERE

NEWER = {"departure", "opened", "delivered_at", "opened_at", "ended_at"}


def copy_of(message: MessageId, number: int = 0) -> SealedCopy:
    """A copy for Ben."""
    ids = PersonId(bytes(32)), DeviceId(bytes(16))
    envelope = EnvelopeId(bytes([number]) * 16)
    return SealedCopy(message, RecipientId("ben"), *ids, HERE, envelope, Secret(bytes(32)))


def in_version_1(copy: SealedCopy, *, acknowledged: bool) -> bytes:
    """Its record: that knew only whether a relay had answered."""
    fields: dict[str, Any] = msgspec.msgpack.decode(pack(copy))
    kept = {name: value for name, value in fields.items() if name not in NEWER}
    return msgspec.msgpack.encode({**kept, "acknowledged": acknowledged})
