"""The body of a message and its manifest (docs/spec/letter.md section 6, content.md section 3)."""

from collections.abc import Sequence
from typing import Any, Final

from entrenous.craft.wire.cbor import (
    as_bytes,
    as_list,
    as_map,
    as_time,
    as_uint,
    encode,
    seconds,
    unless_null,
)
from entrenous.craft.wire.letter.audience import as_audience, as_heads, plain_audience, plain_heads
from entrenous.craft.wire.text import as_name, as_url
from entrenous.model.ids import ID_BYTES, BlobId, MessageId, MessageName, PersonId
from entrenous.model.letter import BlobRef, Manifest, ReplyTo
from entrenous.model.secret import Secret
from entrenous.spec import BLOBS_PER_ENVELOPE_MAX

_KEYS: Final = 15
_MANIFEST: Final = (*range(1, 6), *range(11, 16))


def write_manifest(manifest: Manifest) -> bytes:
    """What a content key is bound to: the CBOR list of the fields 1 to 5 and 11 to 15."""
    fields = plain_message(manifest)
    return encode([fields[key] for key in _MANIFEST])


def write_marks(manifest: Manifest) -> bytes:
    """What a marks hash is taken of: field 12 (docs/spec/content.md section 6)."""
    return write_commitments(manifest.marks)


def write_commitments(marks: Sequence[bytes | None]) -> bytes:
    """The same of the commitments alone."""
    return encode(list(marks))


def plain_message(body: Manifest) -> dict[int, object]:
    """The fields of a message body."""
    return {
        1: body.name,
        2: seconds(body.sent_at),
        3: None if body.expires_at is None else seconds(body.expires_at),
        4: body.opens,
        5: plain_audience(body.audience),
        6: body.secret.reveal(),
        7: [[blob.id, blob.size, blob.sha256] for blob in body.blobs],
        8: body.fetch_token.reveal(),
        9: body.open_token.reveal(),
        10: body.relay_url,
        11: plain_heads(body.heads),
        12: list(body.marks),
        13: None if body.reply is None else [body.reply.sender, body.reply.message],
        14: body.circle,
        15: int(body.may_export),
    }


def as_message(value: object) -> Manifest:
    """A message body.

    Raises:
        BadCbor: it is none.
    """
    fields = as_map(value, _KEYS)
    blobs = tuple(map(_blob, as_list(fields[7], 1, BLOBS_PER_ENVELOPE_MAX)))
    audience = as_audience(fields[5])
    return Manifest(
        name=MessageName(as_name(fields[1])),
        sent_at=as_time(fields[2]),
        expires_at=unless_null(fields[3], as_time),
        opens=unless_null(fields[4], _opens),
        audience=audience,
        secret=_secret(fields[6]),
        blobs=blobs,
        fetch_token=_secret(fields[8]),
        open_token=_secret(fields[9]),
        relay_url=as_url(fields[10]),
        heads=as_heads(fields[11], audience),
        marks=_marks(fields[12], len(blobs) - 1),
        reply=unless_null(fields[13], _reply),
        circle=unless_null(fields[14], _id),
        may_export=_may_export(fields[15], fields[4]),
    )


def _marks(value: object, files: int) -> tuple[bytes | None, ...]:
    return tuple(unless_null(one, _hash) for one in as_list(value, files, files))


def _reply(value: object) -> ReplyTo:
    sender, message = as_list(value, 2, 2)
    return ReplyTo(PersonId(_hash(sender)), MessageId(_id(message)))


def _blob(entry: Any) -> BlobRef:
    blob, size, sha256 = as_list(entry, 3, 3)
    return BlobRef(BlobId(_id(blob)), as_uint(size, least=1), _hash(sha256))


def _opens(value: object) -> int:
    return as_uint(value, least=1)


def _may_export(value: object, opens: object) -> bool:
    """Only where openings are counted is there something to allow."""
    return bool(as_uint(value, 0 if opens is None else 1))


def _secret(value: object) -> Secret:
    return Secret(_hash(value))


def _hash(value: object) -> bytes:
    return as_bytes(value, 32)


def _id(value: object) -> bytes:
    return as_bytes(value, ID_BYTES)
