"""Other platforms that the operator trusts, and their signed opinions on claims (gate.md, 4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from entrenous.crypto.identity_keys import verify_device_ed25519_signature
from entrenous.stop.platform import Platform
from entrenous.stop.registration import (
    STANCES_AGAINST,
    BadOpinion,
    BadPartner,
    Claim,
    ClaimEvent,
    ClaimState,
    NoSuchPartner,
    Opinion,
    Partner,
    PartnerAlreadyKnown,
)
from entrenous.stop.review import DISPUTES_TO_SUSPEND
from entrenous.wire.encodings import canonical_json

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore


def add_partner(name: str, key_hex: str, platform: Platform) -> Partner:
    """Add a platform.

    Raises:
        BadPartner: the name or the key is malformed.
        PartnerAlreadyKnown: the name already has a different key, or the key a different name;
            nothing is changed.
    """
    try:
        partner = Partner(name, bytes.fromhex(key_hex))
    except ValueError:
        raise BadPartner from None
    for one in platform.bank.partners():
        if (one.name == name) != (one.key == partner.key):
            raise PartnerAlreadyKnown(name=one.name, key=one.key.hex())
    platform.bank.add_partner(partner)
    return partner


def remove_partner(named: str, platform: Platform) -> None:
    """Remove a platform, by its key or its name; its opinions are kept.

    Raises:
        NoSuchPartner: no platform has that key, and either none or several have that name.
    """
    known = platform.bank.partners()
    of_name = [one.key for one in known if one.name == named]
    keys = [one.key for one in known if one.key.hex() == named.lower()] or of_name
    if len(keys) != 1:
        raise NoSuchPartner
    platform.bank.drop_partner(keys[0])


OPINION_CONTEXT: Final = b"entrenous/1 opinion"
_CLOCK_SKEW_MAX: Final = timedelta(minutes=5)  # between the clocks of two platforms
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def signed_bytes_of_opinion(opinion: Opinion) -> bytes:
    """Return the bytes that a platform signs, after ``OPINION_CONTEXT`` and a zero byte."""
    at = (opinion.at - _EPOCH) // timedelta(seconds=1)
    return canonical_json({"at": at, "claim": opinion.claim, "opinion": str(opinion.stance)})


def accept_opinion(opinion: Opinion, signature: bytes, platform: Platform) -> Claim:
    """Store a platform's opinion; three platforms against a claim suspend it.

    An opinion in favour changes nothing by itself, since uploads are refused only after a
    confirmation here. A repeated or older opinion changes nothing. The opinion and the suspension
    are stored in one transaction. After a failure, neither is stored, and the opinion can be sent
    again.

    Raises:
        NoSuchPartner: the operator has not added this key.
        BadSignature: the signature was not made with this key.
        BadOpinion: the opinion is dated in the future.
        NoSuchClaim: there is no such claim.
    """
    _require_partner(opinion.key, platform)
    statement = signed_bytes_of_opinion(opinion)
    verify_device_ed25519_signature(
        opinion.key, OPINION_CONTEXT, statement, signature, what="opinion"
    )
    if opinion.at > platform.clock.now() + _CLOCK_SKEW_MAX:
        raise BadOpinion(why="its time is in the future")

    def suspend_if_rejected(before: tuple[Opinion, ...], bank: BankStore) -> None:
        against = _platforms_against(bank.opinions(opinion.claim))
        is_new = opinion.key in against - _platforms_against(before)
        withdrawn = bank.claim(opinion.claim).state is ClaimState.WITHDRAWN
        if is_new and len(against) >= DISPUTES_TO_SUSPEND and not withdrawn:
            bank.apply_event(opinion.claim, ClaimEvent.SUSPEND)

    platform.bank.record_opinion(opinion, suspend_if_rejected)
    return platform.bank.claim(opinion.claim)


def _platforms_against(opinions: Iterable[Opinion]) -> set[bytes]:
    """Return the keys of platforms that reject a claim.

    Act on their number only if it has grown: repeating three old opinions must not undo a later
    confirmation.
    """
    return {one.key for one in opinions if one.stance in STANCES_AGAINST}


def _require_partner(key: bytes, platform: Platform) -> None:
    if key not in {partner.key for partner in platform.bank.partners()}:
        raise NoSuchPartner
