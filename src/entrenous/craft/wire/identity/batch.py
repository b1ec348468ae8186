"""Batches of what a device signs together (docs/spec/identity.md section 5).

Nothing here verifies a signature or a path: craft/crypto/statements.py does.
"""

from typing import Any, Final

from entrenous.craft.wire.cbor import (
    as_blob,
    as_bytes,
    as_list,
    as_uint,
    decode,
    unless_null,
    written,
)
from entrenous.craft.wire.identity.certificate import joined_signature, split_signature
from entrenous.model.ids import ID_BYTES, DeviceId, MailboxId
from entrenous.model.signed_batch import Batch, Place, SignedBatch
from entrenous.spec import BATCH_SIZE_MAX

_STATEMENT_MAX: Final = 128  # bytes; today's have 72 at most
_PATH_MAX: Final = (BATCH_SIZE_MAX - 1).bit_length()
_MLDSA65: Final = 1952


def write_batch(batch: Batch) -> bytes:
    """The statement that a device signs.

    Raises:
        ValueError: a field has not the length of its kind.
    """
    return written([batch.device, batch.mailbox, batch.size, batch.root], _read_batch)


def plain_signed_batch(signed: SignedBatch) -> list[object]:
    """A signed batch as it stands in a prekey or a letter."""
    return [signed.statement, signed.mldsa65, *split_signature(signed.signature)]


def as_signed_batch(entry: Any) -> SignedBatch:
    """A signed batch from inside a prekey or a letter; unproven.

    Raises:
        BadCbor: it is none.
    """
    statement, key, ed25519, mldsa65 = as_list(entry, 4, 4)
    encoded = as_blob(statement, _STATEMENT_MAX)
    return SignedBatch(
        batch=_read_batch(encoded),
        statement=encoded,
        mldsa65=as_bytes(key, _MLDSA65),
        signature=joined_signature(ed25519, mldsa65),
    )


def plain_place(place: Place) -> tuple[object, object]:
    """Where a statement is in its batch, as two fields: its index, in one byte whatever it is, and
    its path.

    Raises:
        OverflowError: no batch has such an index.
    """
    return place.index.to_bytes(1, "big"), list(place.path)


def as_place(index: object, path: object) -> Place:
    """Where a statement says that it is in its batch.

    Raises:
        BadCbor: no batch has such a place.
    """
    hashes = tuple(as_bytes(one, 32) for one in as_list(path, 0, _PATH_MAX))
    return Place(as_uint(as_bytes(index, 1)[0], BATCH_SIZE_MAX - 1), hashes)


def _read_batch(encoded: bytes) -> Batch:
    device, mailbox, size, root = as_list(decode(encoded), 4, 4)
    return Batch(
        device=DeviceId(as_bytes(device, ID_BYTES)),
        mailbox=unless_null(mailbox, _mailbox),
        size=as_uint(size, BATCH_SIZE_MAX, 1),
        root=as_bytes(root, 32),
    )


def _mailbox(value: object) -> MailboxId:
    return MailboxId(as_bytes(value, ID_BYTES))
