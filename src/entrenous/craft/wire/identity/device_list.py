"""Device lists: the statements of a chain (docs/spec/identity.md section 3)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from entrenous.craft.wire.cbor import (
    BadCbor,
    as_bytes,
    as_list,
    as_map,
    as_time,
    as_uint,
    decode,
    named,
    seconds,
    unless_null,
    written,
)
from entrenous.craft.wire.text import as_name, as_url
from entrenous.model.card import BadCard
from entrenous.model.device_list import (
    DeviceList,
    ListedDevice,
    ListStatement,
    RevokedAs,
    RevokedDevice,
    Speaks,
)
from entrenous.model.ids import ID_BYTES, DeviceId, MailboxId, PersonId
from entrenous.spec import DEVICES_MAX, REVOKED_MAX

_VERSION: Final = 2
_PROTOCOLS: Final = 2**16 - 1


def write_device_list(devices: DeviceList) -> bytes:
    """The statement that a master key signs, and whose hash is the list's head.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return written(
        {
            1: _VERSION,
            2: devices.person,
            3: devices.epoch,
            4: devices.previous,
            5: [[one.device, one.proof, one.mailbox] for one in devices.devices],
            6: [[one.device, seconds(one.at), int(one.kind)] for one in devices.revoked],
            7: devices.name,
            8: [devices.speaks.floor, devices.speaks.newest],
            9: seconds(devices.issued_at),
            10: devices.relay_url,
        },
        read_device_list,
    )


def read_device_list(untrusted: bytes) -> ListStatement:
    """A statement; unproven.

    Raises:
        BadCard: not a list of this version, or one that contradicts itself.
    """
    with named(BadCard):
        fields = as_map(decode(untrusted), 10)
        as_uint(fields[1], _VERSION, _VERSION)
        said = DeviceList(
            person=PersonId(as_bytes(fields[2], 32)),
            epoch=as_uint(fields[3], least=1),
            previous=unless_null(fields[4], _hash),
            devices=tuple(map(_listed, as_list(fields[5], 1, DEVICES_MAX))),
            revoked=tuple(map(_revoked, as_list(fields[6], 0, REVOKED_MAX))),
            name=as_name(fields[7]),
            speaks=_speaks(fields[8]),
            issued_at=as_time(fields[9]),
            relay_url=as_url(fields[10]),
        )
        _check(said)
        return ListStatement(said, untrusted)


def _check(said: DeviceList) -> None:
    listed = [one.device for one in said.devices]
    revoked = [one.device for one in said.revoked]
    if (said.previous is None) != (said.epoch == 1) or set(listed) & set(revoked):
        raise BadCbor
    _check_ascending(listed)
    _check_ascending(revoked)
    if len({one.mailbox for one in said.devices}) != len(listed):
        raise BadCbor  # each device has a mailbox of its own


def _check_ascending(devices: Sequence[bytes]) -> None:
    if any(one >= after for one, after in pairwise(devices)):
        raise BadCbor


def _listed(entry: Any) -> ListedDevice:
    device, proof, mailbox = as_list(entry, 3, 3)
    receives = MailboxId(as_bytes(mailbox, ID_BYTES))
    return ListedDevice(_device(device), _hash(proof), receives)


def _revoked(entry: Any) -> RevokedDevice:
    device, at, kind = as_list(entry, 3, 3)
    known = RevokedAs(as_uint(kind, max(RevokedAs), min(RevokedAs)))
    return RevokedDevice(_device(device), as_time(at), known)


def _speaks(value: Any) -> Speaks:
    floor, newest = as_list(value, 2, 2)
    least = as_uint(floor, _PROTOCOLS, 1)
    return Speaks(least, as_uint(newest, _PROTOCOLS, least))


def _device(value: object) -> DeviceId:
    return DeviceId(as_bytes(value, ID_BYTES))


def _hash(value: object) -> bytes:
    return as_bytes(value, 32)
