"""What partners bring: opinions of claims, and hashes (docs/spec/exchange.md 3.4, 3.5, 5.1)."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from entrenous.model.bank import Bank, BankUnreachable
from entrenous.model.claim import Claim, ClaimEvent, ClaimState, NoSuchClaim, Registration
from entrenous.model.exchange import ExchangePartner, Said
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import AGAINST, Stance
from entrenous.ports import BankStore, Clock, Platform
from entrenous.ports.exchange import PartnerStore
from entrenous.spec import CLAIM_ID_BYTES

_AGAINST_MAX: Final = 3  # partners who disagree suspend a claim
_QUALITY_UNKNOWN: Final = 100  # nobody says how much detail the picture had
_CONTEXT: Final = b"entrenous/1 exchange claim\x00"


@dataclass(frozen=True, slots=True)
class BankOpinions:
    """Opinions that are kept, and suspend a claim when three partners are against it."""

    clock: Clock
    partners: PartnerStore

    def give(self, partner: ExchangePartner, said: Mapping[ClaimId, Stance]) -> None:
        """Each partner counts once for a claim, with its newest opinion. Only a new one against it
        suspends: what a reviewer confirmed since is not undone by three old opinions, nor by one in
        favour.
        """

        def suspend(before: Iterable[Said], now: Iterable[Said], bank: BankStore) -> None:
            held = [_held(claim, partner, bank) for claim in said]
            old, against = _against(before), _against(now)
            new = {claim for claim in said if partner.number in against[claim] - old[claim]}
            enough = [one.id for one in held if len(against[one.id]) >= _AGAINST_MAX]
            bank.move_all(ClaimEvent.SUSPEND, *(claim for claim in enough if claim in new))

        self.partners.say(partner, said, self.clock.now(), suspend)


def _held(claim: ClaimId, partner: ExchangePartner, bank: BankStore) -> Claim:
    held = bank.claim(claim)
    if held.bank not in partner.banks:
        raise NoSuchClaim(claim=claim)
    return held


def _against(said: Iterable[Said]) -> Mapping[ClaimId, set[int]]:
    """Partners who are against each."""
    against = defaultdict[ClaimId, set[int]](set)
    for one in said:
        if one.stance in AGAINST:
            against[one.claim].add(one.number)
    return against


@dataclass(frozen=True, slots=True)
class BankSubmissions:
    """Partners' hashes as waiting claims: uploads that fit are held, never refused."""

    platform: Platform

    def submit(self, partner: ExchangePartner, hashes: Collection[bytes]) -> None:
        """The same hash again is the same claim, also when it was withdrawn since."""
        claims = {claim_name(partner.name.encode(), bits): (bits,) for bits in hashes}
        ensure_bank(partner.own_bank, self.platform.bank)
        register_missing(claims, partner.own_bank, ClaimState.WAITING, self.platform)


def claim_name(*of: bytes) -> ClaimId:
    """A claim's name that is the same whenever the same is brought; nobody can read it back."""
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in of)
    return ClaimId(hashlib.sha256(_CONTEXT + parts).digest()[:CLAIM_ID_BYTES].hex())


def ensure_bank(name: BankName, bank: BankStore) -> None:
    """Make a bank of that name, if there is none."""
    if name not in {one.name for one in bank.banks()}:
        bank.set_bank(Bank(name))


def register_missing(
    claims: Mapping[ClaimId, tuple[bytes, ...]],
    bank: BankName,
    state: ClaimState,
    platform: Platform,
) -> int:
    """Register those that are not there yet, in one transaction; how many. When somebody else
    brings one of them at the same time, the others are registered still. That a look back for them
    is due is registered with them.

    Raises:
        BankUnreachable: and nobody else brought any.
    """
    now = platform.clock.now()
    new = _missing(claims, platform.bank)
    while new:
        try:
            platform.bank.register(
                *(
                    Registration(
                        Claim(name, bank, state, "pdq", _QUALITY_UNKNOWN, now),
                        hashes,
                        looks_back=True,
                    )
                    for name, hashes in new.items()
                )
            )
        except BankUnreachable:
            left = _missing(new, platform.bank)
            if len(left) == len(new):
                raise
            new = left
        else:
            break
    return len(new)


def _missing(
    claims: Mapping[ClaimId, tuple[bytes, ...]], bank: BankStore
) -> dict[ClaimId, tuple[bytes, ...]]:
    there = bank.with_hashes(claims)
    return {name: hashes for name, hashes in claims.items() if name not in there}
