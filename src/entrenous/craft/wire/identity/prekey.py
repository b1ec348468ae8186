"""Prekeys: signed by a device in batches, handed out by the relay (docs/spec/identity.md 5)."""

from typing import Any, Final

from entrenous.craft.wire.cbor import (
    BadCbor,
    as_blob,
    as_bytes,
    as_list,
    as_time,
    as_uint,
    decode,
    named,
    seconds,
    unless_null,
    written,
)
from entrenous.craft.wire.identity.batch import (
    as_place,
    as_signed_batch,
    plain_place,
    plain_signed_batch,
)
from entrenous.model.card import BadPrekey, Prekey, PrekeyKind, SignedPrekey
from entrenous.model.ids import ID_BYTES, DeviceId
from entrenous.model.signed_batch import Place, SignedBatch
from entrenous.spec import KEY_ID_BYTES, PREKEY_BYTES_MAX

_PUBLIC: Final = {PrekeyKind.ONE_TIME: 32, PrekeyKind.FALLBACK: 32, PrekeyKind.XWING: 1216}


def write_prekey_statement(prekey: Prekey) -> bytes:
    """The bytes whose hash is a leaf of the batch that a device signs.

    Raises:
        ValueError: a field has not the length of its kind.
    """
    fields = [
        int(prekey.kind),
        prekey.id,
        prekey.device,
        prekey.epoch,
        prekey.head,
        seconds(prekey.made_at),
        prekey.public,
    ]
    return written(fields, _read_statement)


def write_prekey(statement: bytes, place: Place, batch: SignedBatch | None) -> bytes:
    """A prekey as the relay hands it out: its statement, and where that is in its batch, which an
    X-Wing prekey carries.

    Raises:
        ValueError: the statement is none, a field has not the length of its kind, or ``batch`` is
            missing, or is there for another kind.
    """
    signed = None if batch is None else plain_signed_batch(batch)
    return written([statement, *plain_place(place), signed], read_prekey)


def read_prekey(untrusted: bytes) -> SignedPrekey:
    """A signed prekey; unproven.

    Raises:
        BadPrekey: not one of this version.
    """
    with named(BadPrekey):
        if len(untrusted) > PREKEY_BYTES_MAX:
            raise BadCbor
        statement, index, path, signed = as_list(decode(untrusted), 4, 4)
        prekey = _read_statement(as_blob(statement, PREKEY_BYTES_MAX))
        batch = unless_null(signed, as_signed_batch)
        if (batch is None) == (prekey.kind is PrekeyKind.XWING):
            raise BadCbor
        return SignedPrekey(prekey, statement, as_place(index, path), batch)


def _read_statement(encoded: bytes) -> Prekey:
    kind, key_id, device, epoch, head, made_at, public = as_list(decode(encoded), 7, 7)
    known = _kind(kind)
    return Prekey(
        kind=known,
        id=as_bytes(key_id, KEY_ID_BYTES),
        device=DeviceId(as_bytes(device, ID_BYTES)),
        epoch=as_uint(epoch, least=1),
        head=as_bytes(head, 32),
        made_at=as_time(made_at),
        public=as_bytes(public, _PUBLIC[known]),
    )


def _kind(value: Any) -> PrekeyKind:
    return PrekeyKind(as_uint(value, max(PrekeyKind), min(PrekeyKind)))
