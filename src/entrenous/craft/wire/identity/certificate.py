"""Device certificates (docs/spec/identity.md section 2).

Nothing here verifies a signature: what is read holds the exact bytes that were signed, and
craft/crypto/statements.py proves them.
"""

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
    named,
    seconds,
    written,
)
from entrenous.model.card import BadCard, Certificate, SignedCertificate
from entrenous.model.ids import ID_BYTES, DeviceId, PersonId

_VERSION: Final = 2
_ED25519: Final = 64  # bytes of each signature
_MLDSA65: Final = 3309
_CERTIFICATE_MAX: Final = 512  # bytes; today's have 182
_ENFORCES_MAX: Final = 16


def write_certificate(certificate: Certificate) -> bytes:
    """The bytes that a master key signs for a device.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return written(
        {
            1: _VERSION,
            2: certificate.person,
            3: certificate.device,
            4: certificate.ed25519,
            5: certificate.curve25519,
            6: seconds(certificate.created_at),
            7: list(certificate.enforces),
            8: certificate.mldsa65_hash,
        },
        read_certificate,
    )


def read_certificate(untrusted: bytes) -> Certificate:
    """A device certificate; unproven.

    Raises:
        BadCard: not a certificate of this version.
    """
    with named(BadCard):
        fields = as_map(decode(untrusted), 8)
        as_uint(fields[1], _VERSION, _VERSION)
        return Certificate(
            person=PersonId(as_bytes(fields[2], 32)),
            device=DeviceId(as_bytes(fields[3], ID_BYTES)),
            ed25519=as_bytes(fields[4], 32),
            curve25519=as_bytes(fields[5], 32),
            created_at=as_time(fields[6]),
            enforces=_enforces(fields[7]),
            mldsa65_hash=as_bytes(fields[8], 32),
        )


def plain_certificate(signed: SignedCertificate) -> list[object]:
    """A signed certificate as it stands in a card or a letter."""
    return [signed.statement, *split_signature(signed.signature)]


def as_signed_certificate(entry: Any) -> SignedCertificate:
    """A signed certificate from inside a card or a letter; unproven.

    Raises:
        BadCard, BadCbor: it is none.
    """
    untrusted_certificate, ed25519, mldsa65 = as_list(entry, 3, 3)
    statement = as_blob(untrusted_certificate, _CERTIFICATE_MAX)
    return SignedCertificate(
        read_certificate(statement), statement, joined_signature(ed25519, mldsa65)
    )


def joined_signature(ed25519: object, mldsa65: object) -> bytes:
    """Both signatures, 3,373 bytes, from the two fields that carry them."""
    return as_bytes(ed25519, _ED25519) + as_bytes(mldsa65, _MLDSA65)


def split_signature(signature: bytes) -> tuple[bytes, bytes]:
    """The two fields that carry both signatures, Ed25519's and ML-DSA-65's."""
    return signature[:_ED25519], signature[_ED25519:]


def _enforces(value: object) -> tuple[int, ...]:
    found = tuple(as_uint(one) for one in as_list(value, 0, _ENFORCES_MAX))
    if any(one >= after for one, after in pairwise(found)):
        raise BadCbor
    return found
