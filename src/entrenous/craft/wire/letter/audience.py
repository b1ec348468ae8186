"""For whom a message is, and which lists of theirs its sender knew (docs/spec/letter.md 6)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from entrenous.craft.wire.cbor import BadCbor, as_bytes, as_list, as_uint
from entrenous.model.ids import ID_BYTES, DeviceId, PersonId
from entrenous.model.letter import PersonHead

_DEVICES_MAX: Final = 1024  # more do not fit a letter

Audience = tuple[tuple[PersonId, DeviceId], ...]


def plain_audience(audience: Audience) -> list[object]:
    """An audience as it stands in a message body."""
    return [[person, device] for person, device in audience]


def as_audience(value: object) -> Audience:
    """Persons and devices, sorted and each once, so that every recipient sees the same list."""
    found = tuple(map(_recipient, as_list(value, 1, _DEVICES_MAX)))
    _check_ascending(found)
    return found


def plain_heads(heads: Sequence[PersonHead]) -> list[object]:
    """The heads of an audience as they stand in a message body."""
    return [[one.person, one.epoch, one.head] for one in heads]


def as_heads(value: object, audience: Audience) -> tuple[PersonHead, ...]:
    """One head for each person of the audience, sorted."""
    found = tuple(map(_head, as_list(value, 1, _DEVICES_MAX)))
    _check_ascending([one.person for one in found])
    if {one.person for one in found} != {person for person, _ in audience}:
        raise BadCbor
    return found


def _check_ascending(found: Sequence[Any]) -> None:
    if any(one >= after for one, after in pairwise(found)):
        raise BadCbor


def _recipient(entry: object) -> tuple[PersonId, DeviceId]:
    person, device = as_list(entry, 2, 2)
    return PersonId(as_bytes(person, 32)), DeviceId(as_bytes(device, ID_BYTES))


def _head(entry: object) -> PersonHead:
    person, epoch, head = as_list(entry, 3, 3)
    return PersonHead(PersonId(as_bytes(person, 32)), as_uint(epoch, least=1), as_bytes(head, 32))
