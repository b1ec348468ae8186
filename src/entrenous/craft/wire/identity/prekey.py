"""Prekeys: signed by a device, handed out by the relay (docs/spec/identity.md section 5)."""

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
    written,
)
from entrenous.model.card import BadPrekey, Prekey, PrekeyKind, SignedPrekey
from entrenous.model.ids import ID_BYTES, DeviceId
from entrenous.spec import KEY_ID_BYTES, PREKEY_BYTES_MAX

_PUBLIC: Final = {PrekeyKind.ONE_TIME: 32, PrekeyKind.FALLBACK: 32, PrekeyKind.XWING: 1216}


def write_prekey_statement(prekey: Prekey) -> bytes:
    """The bytes that a device signs.

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


def write_prekey(statement: bytes, signature: bytes) -> bytes:
    """A signed prekey, from its statement and the device's Ed25519 signature over it (64 bytes).

    Raises:
        ValueError: the statement is none, or the signature has the wrong length.
    """
    return written([statement, signature], read_prekey)


def read_prekey(untrusted: bytes) -> SignedPrekey:
    """A signed prekey; unproven.

    Raises:
        BadPrekey: not one of this version.
    """
    with named(BadPrekey):
        if len(untrusted) > PREKEY_BYTES_MAX:
            raise BadCbor
        statement, signature = as_list(decode(untrusted), 2, 2)
        return SignedPrekey(
            prekey=_read_statement(as_blob(statement, PREKEY_BYTES_MAX)),
            statement=statement,
            signature=as_bytes(signature, 64),
        )


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
