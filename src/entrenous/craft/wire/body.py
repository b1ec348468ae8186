"""Bodies of letters: hello, message, recall (docs/spec/letter.md section 6)."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

from entrenous.craft.wire.cbor import (
    BadCbor,
    as_blob,
    as_bytes,
    as_list,
    as_map,
    as_time,
    as_uint,
    decode,
    encode,
    named,
    seconds,
    unless_null,
    written,
)
from entrenous.craft.wire.text import as_name, as_url
from entrenous.model.ids import ID_BYTES, BlobId, DeviceId, MessageId, MessageName, PersonId
from entrenous.model.letter import BadLetter, BlobRef, Body, Hello, Manifest, RecallNote
from entrenous.model.secret import Secret

_HELLO, _MESSAGE, _RECALL = 1, 2, 3
_CARD_MAX: Final = 131_072
_AUDIENCE_MAX: Final = 1024  # devices; more do not fit a letter
_BLOBS_MAX: Final = 64


def write_body(body: Body) -> bytes:
    """A body's bytes.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return written(_plain(body), read_body)


def read_body(untrusted: bytes) -> Body:
    """A body; the caller has checked that the header names its hash.

    Raises:
        BadLetter: not a body of this version, or of a kind that it does not know.
    """
    with named(BadLetter):
        kind, value = as_list(decode(untrusted), 2, 2)
        readers: Mapping[int, Callable[[Any], Body]] = {
            _HELLO: _hello,
            _MESSAGE: _manifest,
            _RECALL: _recall,
        }
        return readers[as_uint(kind, _RECALL, _HELLO)](value)


def write_manifest(manifest: Manifest) -> bytes:
    """What a content key is bound to: the CBOR list of the fields 1 to 5 of a message body."""
    fields = _message(manifest)
    return encode([fields[key] for key in range(1, 6)])


def _plain(body: Body) -> list[object]:
    if isinstance(body, Hello):
        return [_HELLO, [body.card, body.send_token.reveal(), body.invite_lock]]
    if isinstance(body, RecallNote):
        return [_RECALL, body.message]
    return [_MESSAGE, _message(body)]


def _message(body: Manifest) -> dict[int, object]:
    return {
        1: body.name,
        2: seconds(body.sent_at),
        3: None if body.expires_at is None else seconds(body.expires_at),
        4: body.opens,
        5: [[person, device] for person, device in body.audience],
        6: body.secret.reveal(),
        7: [[blob.id, blob.size, blob.sha256] for blob in body.blobs],
        8: body.fetch_token.reveal(),
        9: body.open_token.reveal(),
        10: body.relay_url,
    }


def _hello(value: object) -> Hello:
    card, send_token, invite_lock = as_list(value, 3, 3)
    return Hello(
        card=as_blob(card, _CARD_MAX),
        send_token=_secret(send_token),
        invite_lock=unless_null(invite_lock, _hash),
    )


def _recall(value: object) -> RecallNote:
    return RecallNote(MessageId(as_bytes(value, ID_BYTES)))


def _manifest(value: object) -> Manifest:
    fields = as_map(value, 10)
    return Manifest(
        name=MessageName(as_name(fields[1])),
        sent_at=as_time(fields[2]),
        expires_at=unless_null(fields[3], as_time),
        opens=unless_null(fields[4], _opens),
        audience=_audience(fields[5]),
        secret=_secret(fields[6]),
        blobs=tuple(_blob(blob) for blob in as_list(fields[7], 1, _BLOBS_MAX)),
        fetch_token=_secret(fields[8]),
        open_token=_secret(fields[9]),
        relay_url=as_url(fields[10]),
    )


def _audience(value: object) -> tuple[tuple[PersonId, DeviceId], ...]:
    found = tuple(_recipient(entry) for entry in as_list(value, 1, _AUDIENCE_MAX))
    if any(one >= after for one, after in pairwise(found)):
        raise BadCbor  # sorted and each once, so that every recipient sees the same list
    return found


def _recipient(entry: object) -> tuple[PersonId, DeviceId]:
    person, device = as_list(entry, 2, 2)
    return PersonId(as_bytes(person, 32)), DeviceId(as_bytes(device, ID_BYTES))


def _blob(entry: object) -> BlobRef:
    blob, size, sha256 = as_list(entry, 3, 3)
    return BlobRef(BlobId(as_bytes(blob, ID_BYTES)), as_uint(size, least=1), _hash(sha256))


def _opens(value: object) -> int:
    return as_uint(value, least=1)


def _secret(value: object) -> Secret:
    return Secret(as_bytes(value, 32))


def _hash(value: object) -> bytes:
    return as_bytes(value, 32)
