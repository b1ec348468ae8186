"""Cards (docs/spec/identity.md section 4).

Nothing here verifies a signature or a hash: what is read holds the exact bytes that were signed,
and craft/crypto/statements.py proves them.
"""

from itertools import pairwise
from typing import Any, Final

from entrenous.craft.wire.cbor import (
    BadCbor,
    as_blob,
    as_bytes,
    as_list,
    as_map,
    as_uint,
    decode,
    named,
    written,
)
from entrenous.craft.wire.identity.certificate import (
    as_signed_certificate,
    joined_signature,
    plain_certificate,
    split_signature,
)
from entrenous.craft.wire.identity.device_list import read_device_list
from entrenous.model.card import BadCard, Card
from entrenous.model.device_list import ListStatement
from entrenous.model.person import MasterKey
from entrenous.spec import DEVICES_MAX, LIST_BYTES_MAX, LISTS_MAX, PLAIN_CARD_BYTES_MAX

_VERSION: Final = 2


def write_card(card: Card) -> bytes:
    """A card's bytes.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    ed25519, mldsa65 = split_signature(card.signature)
    return written(
        {
            1: _VERSION,
            2: card.master.ed25519,
            3: card.master.mldsa65,
            4: [one.statement for one in card.lists],
            5: ed25519,
            6: mldsa65,
            7: [plain_certificate(signed) for signed in card.certificates],
        },
        read_card,
    )


def read_card(untrusted: bytes) -> Card:
    """A card; unproven.

    Raises:
        BadCard: not a card of this version, or its lists are not of one person and consecutive, or
            its certificates are not one for each device of the newest.
    """
    with named(BadCard):
        if len(untrusted) > PLAIN_CARD_BYTES_MAX:
            raise BadCbor
        fields = as_map(decode(untrusted), 7)
        as_uint(fields[1], _VERSION, _VERSION)
        card = Card(
            master=MasterKey(as_bytes(fields[2], 32), as_bytes(fields[3], 1952)),
            lists=_lists(fields[4]),
            signature=joined_signature(fields[5], fields[6]),
            certificates=tuple(map(as_signed_certificate, as_list(fields[7], 1, DEVICES_MAX))),
        )
        listed = [one.device for one in card.newest.said.devices]
        if [one.certificate.device for one in card.certificates] != listed:
            raise BadCbor
        return card


def recent(lists: tuple[ListStatement, ...]) -> tuple[ListStatement, ...]:
    """As many of the newest lists as a card holds."""
    kept, size = list[ListStatement](), 0
    for one in reversed(lists[-LISTS_MAX:]):
        size += len(one.statement)
        if size > LIST_BYTES_MAX:
            break
        kept.append(one)
    return tuple(reversed(kept))


def _lists(value: Any) -> tuple[ListStatement, ...]:
    statements = [as_blob(one, LIST_BYTES_MAX) for one in as_list(value, 1, LISTS_MAX)]
    if sum(map(len, statements)) > LIST_BYTES_MAX:
        raise BadCbor
    lists = tuple(map(read_device_list, statements))
    for one, after in pairwise(lists):
        if after.said.person != one.said.person or after.said.epoch != one.said.epoch + 1:
            raise BadCbor
    return lists
