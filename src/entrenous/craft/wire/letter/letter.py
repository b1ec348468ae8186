"""Letters: the address around, the header, and the bodies (docs/spec/letter.md)."""

from typing import Any, Final

from entrenous.craft.wire.cbor import (
    as_bytes,
    as_list,
    as_map,
    as_uint,
    decode,
    encode,
    named,
    unless_null,
    written,
)
from entrenous.craft.wire.letter.body import read_body, write_body, write_manifest
from entrenous.model.ids import ID_BYTES, DeviceId, EnvelopeId, MessageId, PersonId
from entrenous.model.letter import Address, BadLetter, Header, XWingKey
from entrenous.spec import KEY_ID_BYTES, SEALED_BYTES_MAX

__all__ = [
    "read_body",
    "read_header",
    "read_sealed",
    "write_body",
    "write_header",
    "write_info",
    "write_manifest",
    "write_sealed",
]

VERSION: Final = 2
SUITE: Final = 0x647A
_INFO: Final = "entrenous/2 letter"


def write_info(address: Address) -> bytes:
    """What HPKE binds: both ends know it before the letter is opened, so it is never read.

    Raises:
        ValueError: a field has not the length of its kind.
    """
    fields = [
        _INFO,
        VERSION,
        SUITE,
        address.to_person,
        address.to_device,
        address.key,
        address.from_person,
        address.from_device,
        address.epoch,
        address.head,
    ]
    return written(fields, _read_info)


def write_sealed(key: bytes, around: bytes) -> bytes:
    """What goes into an envelope: the version, the recipient's key id (8 bytes), the sealed bytes.

    Raises:
        ValueError: the key id has another length.
    """
    if len(key) != KEY_ID_BYTES:
        raise ValueError("a key id has 8 bytes")
    return bytes([VERSION]) + key + around


def read_sealed(untrusted: bytes) -> tuple[bytes, bytes]:
    """The recipient's key id (8 bytes), and the sealed bytes for craft/crypto/seal.py.

    Raises:
        BadLetter: another version, or a length that no letter has.
    """
    if not 1 + KEY_ID_BYTES < len(untrusted) <= SEALED_BYTES_MAX or untrusted[0] != VERSION:
        raise BadLetter
    return untrusted[1 : 1 + KEY_ID_BYTES], untrusted[1 + KEY_ID_BYTES :]


def write_header(header: Header) -> bytes:
    """The header's bytes.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return written(
        {
            1: VERSION,
            2: header.from_person,
            3: header.from_device,
            4: header.to_person,
            5: header.to_device,
            6: [header.from_epoch, header.to_epoch],
            7: header.prekey,
            8: header.message,
            9: header.counter,
            10: [header.next_key.id, header.next_key.public],
            11: header.curve25519,
            12: [header.envelope, header.body_sha256],
            13: [header.from_head, header.to_head],
            14: header.token,
        },
        read_header,
    )


def read_header(untrusted: bytes) -> Header:
    """A header; its sender is unproven until the inner seal has been opened.

    Raises:
        BadLetter: not a header of this version.
    """
    with named(BadLetter):
        fields = as_map(decode(untrusted), 14)
        as_uint(fields[1], VERSION, VERSION)
        from_epoch, to_epoch = as_list(fields[6], 2, 2)
        envelope, body_sha256 = as_list(fields[12], 2, 2)
        from_head, to_head = as_list(fields[13], 2, 2)
        return Header(
            from_person=_person(fields[2]),
            from_device=_device(fields[3]),
            to_person=_person(fields[4]),
            to_device=_device(fields[5]),
            from_epoch=as_uint(from_epoch, least=1),
            to_epoch=as_uint(to_epoch, least=1),
            prekey=unless_null(fields[7], _key_id),
            message=MessageId(as_bytes(fields[8], ID_BYTES)),
            counter=as_uint(fields[9], least=1),
            next_key=_xwing(fields[10]),
            curve25519=as_bytes(fields[11], 32),
            envelope=EnvelopeId(as_bytes(envelope, ID_BYTES)),
            body_sha256=as_bytes(body_sha256, 32),
            from_head=as_bytes(from_head, 32),
            to_head=as_bytes(to_head, 32),
            token=unless_null(fields[14], as_uint),
        )


def _read_info(encoded: bytes) -> Address:
    fields = as_list(decode(encoded), 10, 10)
    if fields[:3] != [_INFO, VERSION, SUITE] or encode(fields) != encoded:
        raise BadLetter
    return Address(
        to_person=_person(fields[3]),
        to_device=_device(fields[4]),
        key=_key_id(fields[5]),
        epoch=as_uint(fields[8], least=1),
        head=as_bytes(fields[9], 32),
        from_person=unless_null(fields[6], _person),
        from_device=unless_null(fields[7], _device),
    )


def _person(value: object) -> PersonId:
    return PersonId(as_bytes(value, 32))


def _device(value: object) -> DeviceId:
    return DeviceId(as_bytes(value, ID_BYTES))


def _key_id(value: object) -> bytes:
    return as_bytes(value, KEY_ID_BYTES)


def _xwing(value: Any) -> XWingKey:
    key_id, public = as_list(value, 2, 2)
    return XWingKey(_key_id(key_id), as_bytes(public, 1216))
