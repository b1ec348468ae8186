"""What is sealed inside the messages of a linking: offer and grant (docs/spec/devices.md 2)."""

from itertools import pairwise
from typing import Any, Final

from entrenous.craft.wire.cbor import (
    BadCbor,
    as_blob,
    as_bytes,
    as_list,
    as_uint,
    decode,
    named,
    unless_null,
    written,
)
from entrenous.craft.wire.text import as_name
from entrenous.model.ids import ID_BYTES, DeviceId, MailboxId
from entrenous.model.link import BadLink, Grant, Introduced, Offer, Sibling
from entrenous.model.secret import Secret
from entrenous.model.window import LentToken
from entrenous.spec import DEVICES_MAX, PLAIN_CARD_BYTES_MAX, TOKEN_BYTES

_XWING_BYTES: Final = 1216
_MASTER_BYTES: Final = 64
_ENFORCES_MAX: Final = 16
_LENT_MAX: Final = 8


def write_offer(offer: Offer) -> bytes:
    """What the new device is.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return written(
        [
            *(offer.ed25519, offer.curve25519, offer.mldsa65_hash),
            *(offer.device, list(offer.enforces)),
            *(offer.seal_to, offer.mailbox, offer.close.reveal(), offer.name),
        ],
        read_offer,
    )


def read_offer(untrusted: bytes) -> Offer:
    """What the new device says that it is.

    Raises:
        BadLink: it is no offer.
    """
    with named(BadLink):
        ed25519, curve25519, mldsa65, device, enforces, seal_to, mailbox, close, name = as_list(
            decode(untrusted), 9, 9
        )
        return Offer(
            ed25519=as_bytes(ed25519, 32),
            curve25519=as_bytes(curve25519, 32),
            mldsa65_hash=as_bytes(mldsa65, 32),
            device=DeviceId(as_bytes(device, ID_BYTES)),
            enforces=_enforces(enforces),
            seal_to=as_bytes(seal_to, _XWING_BYTES),
            mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
            close=_token(close),
            name=unless_null(name, as_name),
        )


def write_grant(grant: Grant) -> bytes:
    """What the new device is given.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    master = None if grant.master is None else grant.master.reveal()
    siblings = [_plain(one) for one in grant.siblings]
    return written([grant.card, master, grant.name, siblings, grant.proof], read_grant)


def read_grant(untrusted: bytes) -> Grant:
    """What the old device grants; unproven.

    Raises:
        BadLink: it is no grant.
    """
    with named(BadLink):
        card, master, name, siblings, proof = as_list(decode(untrusted), 5, 5)
        return Grant(
            card=as_blob(card, PLAIN_CARD_BYTES_MAX),
            master=unless_null(master, _master),
            name=as_name(name),
            siblings=tuple(map(_introduced, as_list(siblings, 1, DEVICES_MAX))),
            proof=as_bytes(proof, 32),
        )


def plain_lent(lent: tuple[LentToken, ...]) -> list[object]:
    """Tokens that are lent."""
    return [[one.index, one.token.reveal()] for one in lent]


def as_lent(value: object) -> tuple[LentToken, ...]:
    """Tokens that another device of ours lends us."""
    pairs = (as_list(entry, 2, 2) for entry in as_list(value, 0, _LENT_MAX))
    return tuple(LentToken(as_uint(index), _token(token)) for index, token in pairs)


def _plain(one: Introduced) -> list[object]:
    close = None if one.sibling.close is None else one.sibling.close.reveal()
    return [one.sibling.device, one.sibling.name, close, plain_lent(one.lent)]


def _introduced(entry: Any) -> Introduced:
    device, name, close, lent = as_list(entry, 4, 4)
    sibling = Sibling(
        device=DeviceId(as_bytes(device, ID_BYTES)),
        name=as_name(name),
        close=unless_null(close, _token),
    )
    return Introduced(sibling, as_lent(lent))


def _enforces(value: object) -> tuple[int, ...]:
    numbers = tuple(map(as_uint, as_list(value, 0, _ENFORCES_MAX)))
    if any(one >= after for one, after in pairwise(numbers)):
        raise BadCbor
    return numbers


def _master(value: object) -> Secret:
    return Secret(as_bytes(value, _MASTER_BYTES))


def _token(value: object) -> Secret:
    return Secret(as_bytes(value, TOKEN_BYTES))
