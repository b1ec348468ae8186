"""Key bundles as CBOR: device certificates, device lists and signed batches (docs/spec/identity.md
sections 2 to 5).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from entrenous.base.identifiers import ID_BYTES, DeviceId, MailboxId, PersonId
from entrenous.base.identity import (
    BadKeyBundle,
    BatchPosition,
    BatchRoot,
    DeviceCertificate,
    DeviceList,
    DeviceListStatement,
    KeyBundle,
    ListedDevice,
    MasterPublicKeys,
    ProtocolRange,
    RevocationReason,
    RevokedDevice,
    SignedBatch,
    SignedDeviceCertificate,
)
from entrenous.base.limits import (
    BATCH_SIZE_MAX,
    DEVICES_MAX,
    KEY_BUNDLE_LISTS_BYTES_MAX,
    KEY_BUNDLE_LISTS_MAX,
    PLAIN_KEY_BUNDLE_BYTES_MAX,
    REVOKED_DEVICES_MAX,
)
from entrenous.wire.cbor import (
    BadCbor,
    as_bytes,
    as_bytes_up_to,
    as_list,
    as_map,
    as_time,
    as_uint,
    bad_cbor_as,
    decode,
    encode_checked,
    parse_optional,
    to_unix_seconds,
)
from entrenous.wire.text import as_name, as_relay_url

_KEY_BUNDLE_VERSION: Final = 2
_ED25519_SIGNATURE_BYTES: Final = 64
_MLDSA65_SIGNATURE_BYTES: Final = 3309
_CERTIFICATE_BYTES_MAX: Final = 512  # certificates of the current version have 172
_ENFORCED_LIMITS_MAX: Final = 16


def write_certificate(certificate: DeviceCertificate) -> bytes:
    """Return the bytes that the master keys sign for a device.

    Raises:
        ValueError: a field has a value that the specification does not allow.
    """
    return encode_checked(
        {
            1: _KEY_BUNDLE_VERSION,
            2: certificate.person,
            3: certificate.device,
            4: certificate.ed25519,
            5: certificate.curve25519,
            6: to_unix_seconds(certificate.created_at),
            7: list(certificate.enforces),
            8: certificate.mldsa65_hash,
        },
        read_certificate,
    )


def read_certificate(untrusted: bytes) -> DeviceCertificate:
    """Parse a device certificate, without verifying it.

    Raises:
        BadKeyBundle: not a certificate of this version.
    """
    with bad_cbor_as(BadKeyBundle):
        fields = as_map(decode(untrusted), 8)
        as_uint(fields[1], _KEY_BUNDLE_VERSION, _KEY_BUNDLE_VERSION)
        return DeviceCertificate(
            person=PersonId(as_bytes(fields[2], 32)),
            device=DeviceId(as_bytes(fields[3], ID_BYTES)),
            ed25519=as_bytes(fields[4], 32),
            curve25519=as_bytes(fields[5], 32),
            created_at=as_time(fields[6]),
            enforces=_parse_enforced_limits(fields[7]),
            mldsa65_hash=as_bytes(fields[8], 32),
        )


def certificate_fields(signed: SignedDeviceCertificate) -> list[object]:
    """Return a signed certificate as CBOR fields, for a key bundle or a letter."""
    return [signed.statement, *split_signature(signed.signature)]


def as_signed_certificate(entry: Any) -> SignedDeviceCertificate:
    """Parse a signed certificate in a key bundle or a letter, without verifying it."""
    untrusted_certificate, ed25519, mldsa65 = as_list(entry, 3, 3)
    statement = as_bytes_up_to(untrusted_certificate, _CERTIFICATE_BYTES_MAX)
    return SignedDeviceCertificate(
        read_certificate(statement), statement, joined_signature(ed25519, mldsa65)
    )


def joined_signature(ed25519: object, mldsa65: object) -> bytes:
    """Join an Ed25519 and an ML-DSA-65 signature, which are separate fields, into 3,373 bytes."""
    return as_bytes(ed25519, _ED25519_SIGNATURE_BYTES) + as_bytes(mldsa65, _MLDSA65_SIGNATURE_BYTES)


def split_signature(signature: bytes) -> tuple[bytes, bytes]:
    """Split 3,373 bytes into the Ed25519 signature and the ML-DSA-65 signature."""
    return signature[:_ED25519_SIGNATURE_BYTES], signature[_ED25519_SIGNATURE_BYTES:]


def _parse_enforced_limits(value: object) -> tuple[int, ...]:
    found = tuple(as_uint(one) for one in as_list(value, 0, _ENFORCED_LIMITS_MAX))
    if any(one >= after for one, after in pairwise(found)):
        raise BadCbor
    return found


_PROTOCOL_VERSION_MAX: Final = 2**16 - 1


def write_device_list(devices: DeviceList) -> bytes:
    """Return the statement that the master keys sign, and whose hash is the list's head.

    Raises:
        ValueError: a field has a value that the specification does not allow.
    """
    return encode_checked(
        {
            1: _KEY_BUNDLE_VERSION,
            2: devices.person,
            3: devices.epoch,
            4: devices.previous,
            5: [[one.device, one.proof, one.mailbox] for one in devices.devices],
            6: [[one.device, to_unix_seconds(one.at), int(one.kind)] for one in devices.revoked],
            7: devices.name,
            8: [devices.speaks.floor, devices.speaks.newest],
            9: to_unix_seconds(devices.issued_at),
            10: devices.relay_url,
        },
        read_device_list,
    )


def read_device_list(untrusted: bytes) -> DeviceListStatement:
    """Parse a device list, without verifying it.

    Raises:
        BadKeyBundle: not a list of this version, or one that contradicts itself.
    """
    with bad_cbor_as(BadKeyBundle):
        fields = as_map(decode(untrusted), 10)
        as_uint(fields[1], _KEY_BUNDLE_VERSION, _KEY_BUNDLE_VERSION)
        said = DeviceList(
            person=PersonId(as_bytes(fields[2], 32)),
            epoch=as_uint(fields[3], least=1),
            previous=parse_optional(fields[4], _parse_hash),
            devices=tuple(map(_parse_listed_device, as_list(fields[5], 1, DEVICES_MAX))),
            revoked=tuple(map(_parse_revoked_device, as_list(fields[6], 0, REVOKED_DEVICES_MAX))),
            name=as_name(fields[7]),
            speaks=_parse_protocol_range(fields[8]),
            issued_at=as_time(fields[9]),
            relay_url=as_relay_url(fields[10]),
        )
        _check_device_list(said)
        return DeviceListStatement(said, untrusted)


def _check_device_list(device_list: DeviceList) -> None:
    listed = [one.device for one in device_list.devices]
    revoked = [one.device for one in device_list.revoked]
    if (device_list.previous is None) != (device_list.epoch == 1) or set(listed) & set(revoked):
        raise BadCbor
    _check_ascending(listed)
    _check_ascending(revoked)
    if len({one.mailbox for one in device_list.devices}) != len(listed):
        raise BadCbor  # no two devices may share a mailbox


def _check_ascending(devices: Sequence[bytes]) -> None:
    if any(one >= after for one, after in pairwise(devices)):
        raise BadCbor


def _parse_listed_device(entry: Any) -> ListedDevice:
    device, proof, mailbox = as_list(entry, 3, 3)
    receives = MailboxId(as_bytes(mailbox, ID_BYTES))
    return ListedDevice(_parse_device_id(device), _parse_hash(proof), receives)


def _parse_revoked_device(entry: Any) -> RevokedDevice:
    device, at, kind = as_list(entry, 3, 3)
    known = RevocationReason(as_uint(kind, max(RevocationReason), min(RevocationReason)))
    return RevokedDevice(_parse_device_id(device), as_time(at), known)


def _parse_protocol_range(value: Any) -> ProtocolRange:
    floor, newest = as_list(value, 2, 2)
    least = as_uint(floor, _PROTOCOL_VERSION_MAX, 1)
    return ProtocolRange(least, as_uint(newest, _PROTOCOL_VERSION_MAX, least))


def _parse_device_id(value: object) -> DeviceId:
    return DeviceId(as_bytes(value, ID_BYTES))


def _parse_hash(value: object) -> bytes:
    return as_bytes(value, 32)


def write_key_bundle(bundle: KeyBundle) -> bytes:
    """Encode a key bundle.

    Raises:
        ValueError: a field has a value that the specification does not allow.
    """
    ed25519, mldsa65 = split_signature(bundle.signature)
    return encode_checked(
        {
            1: _KEY_BUNDLE_VERSION,
            2: bundle.master.ed25519,
            3: bundle.master.mldsa65,
            4: [one.statement for one in bundle.lists],
            5: ed25519,
            6: mldsa65,
            7: [certificate_fields(signed) for signed in bundle.certificates],
        },
        read_key_bundle,
    )


def read_key_bundle(untrusted: bytes) -> KeyBundle:
    """Parse a key bundle, without verifying it.

    Raises:
        BadKeyBundle: it is not a key bundle of this version, its lists are not consecutive lists of
            one person, or its certificates do not match the devices of the newest list.
    """
    with bad_cbor_as(BadKeyBundle):
        if len(untrusted) > PLAIN_KEY_BUNDLE_BYTES_MAX:
            raise BadCbor
        fields = as_map(decode(untrusted), 7)
        as_uint(fields[1], _KEY_BUNDLE_VERSION, _KEY_BUNDLE_VERSION)
        bundle = KeyBundle(
            master=MasterPublicKeys(as_bytes(fields[2], 32), as_bytes(fields[3], 1952)),
            lists=_parse_device_lists(fields[4]),
            signature=joined_signature(fields[5], fields[6]),
            certificates=tuple(map(as_signed_certificate, as_list(fields[7], 1, DEVICES_MAX))),
        )
        listed = [one.device for one in bundle.newest.said.devices]
        if [one.certificate.device for one in bundle.certificates] != listed:
            raise BadCbor
        return bundle


def newest_lists_that_fit(
    lists: tuple[DeviceListStatement, ...],
) -> tuple[DeviceListStatement, ...]:
    """Return as many of these lists as fit into a key bundle: the newest ones."""
    kept, size = list[DeviceListStatement](), 0
    for one in reversed(lists[-KEY_BUNDLE_LISTS_MAX:]):
        size += len(one.statement)
        if size > KEY_BUNDLE_LISTS_BYTES_MAX:
            break
        kept.append(one)
    return tuple(reversed(kept))


def _parse_device_lists(value: Any) -> tuple[DeviceListStatement, ...]:
    statements = [
        as_bytes_up_to(one, KEY_BUNDLE_LISTS_BYTES_MAX)
        for one in as_list(value, 1, KEY_BUNDLE_LISTS_MAX)
    ]
    if sum(map(len, statements)) > KEY_BUNDLE_LISTS_BYTES_MAX:
        raise BadCbor
    lists = tuple(map(read_device_list, statements))
    for one, after in pairwise(lists):
        if after.said.person != one.said.person or after.said.epoch != one.said.epoch + 1:
            raise BadCbor
    return lists


_BATCH_STATEMENT_BYTES_MAX: Final = 128  # statements of the current version have up to 71
_PATH_HASHES_MAX: Final = (BATCH_SIZE_MAX - 1).bit_length()
_MLDSA65_KEY_BYTES: Final = 1952


def write_batch(batch: BatchRoot) -> bytes:
    """Return the statement about a batch that a device signs.

    Raises:
        ValueError: a field has the wrong length.
    """
    return encode_checked([batch.device, batch.mailbox, batch.size, batch.root], _read_batch)


def signed_batch_fields(signed: SignedBatch) -> list[object]:
    """Return a signed batch as CBOR fields, for a prekey or a letter."""
    return [signed.statement, signed.mldsa65, *split_signature(signed.signature)]


def as_signed_batch(entry: Any) -> SignedBatch:
    """Parse a signed batch in a prekey or a letter, without verifying it.

    Raises:
        BadCbor: this is not a signed batch.
    """
    statement, key, ed25519, mldsa65 = as_list(entry, 4, 4)
    encoded = as_bytes_up_to(statement, _BATCH_STATEMENT_BYTES_MAX)
    return SignedBatch(
        batch=_read_batch(encoded),
        statement=encoded,
        mldsa65=as_bytes(key, _MLDSA65_KEY_BYTES),
        signature=joined_signature(ed25519, mldsa65),
    )


def position_fields(place: BatchPosition) -> tuple[object, object]:
    """Return a statement's position in its batch as two fields.

    The fields are the index (one byte) and the path (the hashes of the Merkle proof).

    Raises:
        OverflowError: the index does not fit into one byte.
    """
    return place.index.to_bytes(1, "big"), list(place.path)


def as_position(index: object, path: object) -> BatchPosition:
    """Parse a statement's position in its batch.

    Raises:
        BadCbor: no batch has such a position.
    """
    hashes = tuple(as_bytes(one, 32) for one in as_list(path, 0, _PATH_HASHES_MAX))
    return BatchPosition(as_uint(as_bytes(index, 1)[0], BATCH_SIZE_MAX - 1), hashes)


def _read_batch(encoded: bytes) -> BatchRoot:
    device, mailbox, size, root = as_list(decode(encoded), 4, 4)
    return BatchRoot(
        device=DeviceId(as_bytes(device, ID_BYTES)),
        mailbox=parse_optional(mailbox, _parse_mailbox_id),
        size=as_uint(size, BATCH_SIZE_MAX, 1),
        root=as_bytes(root, 32),
    )


def _parse_mailbox_id(value: object) -> MailboxId:
    return MailboxId(as_bytes(value, ID_BYTES))
