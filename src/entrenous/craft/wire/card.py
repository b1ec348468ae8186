"""Cards and device certificates (docs/spec/identity.md sections 2 and 3).

Nothing here verifies a signature: what is read holds the exact bytes that were signed, and
craft/crypto/statements.py proves them.
"""

from collections.abc import Mapping
from datetime import datetime
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
    written,
)
from entrenous.craft.wire.text import as_name, as_url
from entrenous.model.card import BadCard, Card, Certificate
from entrenous.model.ids import ID_BYTES, DeviceId, MailboxId, PersonId
from entrenous.model.person import DeviceKey, MasterKey, Person

VERSION: Final = 1
DEVICES_MAX: Final = 16
_ED25519: Final = 64  # bytes of each signature
_MLDSA65: Final = 3309
_CERTIFICATE_MAX: Final = 256  # bytes; today's have 142


def write_certificate(certificate: Certificate) -> bytes:
    """The bytes that a master key signs for a device.

    Raises:
        ValueError: a field has not the length of its kind.
    """
    return written(
        {
            1: VERSION,
            2: certificate.person,
            3: certificate.device,
            4: certificate.ed25519,
            5: certificate.curve25519,
            6: seconds(certificate.created_at),
        },
        read_certificate,
    )


def read_certificate(untrusted: bytes) -> Certificate:
    """A device certificate; unproven.

    Raises:
        BadCard: not a certificate of this version.
    """
    with named(BadCard):
        fields = as_map(decode(untrusted), 6)
        as_uint(fields[1], VERSION, VERSION)
        return Certificate(
            person=PersonId(as_bytes(fields[2], 32)),
            device=DeviceId(as_bytes(fields[3], ID_BYTES)),
            ed25519=as_bytes(fields[4], 32),
            curve25519=as_bytes(fields[5], 32),
            created_at=as_time(fields[6]),
        )


def device_key(certificate: Certificate, signature: bytes) -> DeviceKey:
    """A certified device, from its certificate and both master signatures over it."""
    return DeviceKey(
        device=certificate.device,
        ed25519=certificate.ed25519,
        curve25519=certificate.curve25519,
        created_at=certificate.created_at,
        certificate=write_certificate(certificate),
        signature=signature,
    )


def write_card_statement(person: Person, issued_at: datetime) -> bytes:
    """The bytes that a master key signs for a card.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return written(
        {
            1: VERSION,
            2: person.name,
            3: person.master.ed25519,
            4: person.master.mldsa65,
            5: person.relay_url,
            6: person.mailbox,
            7: person.epoch,
            8: [[device.certificate, *_split(device.signature)] for device in person.devices],
            9: seconds(issued_at),
        },
        _read_statement,
    )


def write_card(statement: bytes, signature: bytes) -> bytes:
    """A card, from its statement and both master signatures over it.

    Raises:
        ValueError: the statement is none, or a signature has the wrong length.
    """
    ed25519, mldsa65 = _split(signature)
    return written({**decode(statement), 10: ed25519, 11: mldsa65}, read_card)


def read_card(untrusted: bytes) -> Card:
    """A card; its person's ``id`` is the one that all of its certificates name. Unproven.

    Raises:
        BadCard: not a card of this version, or one whose certificates disagree about the person or
            name a device twice.
    """
    with named(BadCard):
        fields = dict(as_map(decode(untrusted), 11))
        signature = _joined(fields.pop(10), fields.pop(11))
        statement = encode(fields)
        return Card(_person(fields), as_time(fields[9]), statement, signature)


def _read_statement(encoded: bytes) -> Person:
    with named(BadCard):
        fields = as_map(decode(encoded), 9)
        as_time(fields[9])
        return _person(fields)


def _person(fields: Mapping[int, Any]) -> Person:
    as_uint(fields[1], VERSION, VERSION)
    devices = [_device(entry) for entry in as_list(fields[8], 1, DEVICES_MAX)]
    persons = {certificate.person for certificate, _ in devices}
    if len(persons) != 1 or len({c.device for c, _ in devices}) != len(devices):
        raise BadCbor
    return Person(
        id=persons.pop(),
        name=as_name(fields[2]),
        master=MasterKey(as_bytes(fields[3], 32), as_bytes(fields[4], 1952)),
        relay_url=as_url(fields[5]),
        mailbox=MailboxId(as_bytes(fields[6], ID_BYTES)),
        epoch=as_uint(fields[7], least=1),
        devices=tuple(device for _, device in devices),
    )


def _device(entry: object) -> tuple[Certificate, DeviceKey]:
    untrusted_certificate, ed25519, mldsa65 = as_list(entry, 3, 3)
    certificate = read_certificate(as_blob(untrusted_certificate, _CERTIFICATE_MAX))
    return certificate, device_key(certificate, _joined(ed25519, mldsa65))


def _joined(ed25519: object, mldsa65: object) -> bytes:
    return as_bytes(ed25519, _ED25519) + as_bytes(mldsa65, _MLDSA65)


def _split(signature: bytes) -> tuple[bytes, bytes]:
    return signature[:_ED25519], signature[_ED25519:]
