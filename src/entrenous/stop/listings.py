"""What a platform lists in a bank itself, by a hash alone; and switches off, and on again.

Confirming a suspended claim would let a machine refuse by it, though nobody has looked since. So a
waiting claim takes its place, before the old one goes: thus the hash keeps its number, and is never
without a claim that matches.
"""

from collections.abc import Iterable, Sequence

from entrenous.model.claim import Claim, ClaimState, Registration
from entrenous.model.ids import BankName
from entrenous.model.listing import Listing
from entrenous.ports import Platform
from entrenous.ports.listing import ListingStore
from entrenous.stop.register import new_claim_id

_KIND = "pdq"
_QUALITY = 100  # of a hash without its picture, as lists have it


def list_hashes(hashes: Iterable[bytes], bank: BankName, note: str, platform: Platform) -> Claim:
    """A waiting claim without a holder; what was let through before is due to be looked back at.

    Raises:
        NoSuchBank.
    """
    claim = Claim(
        id=new_claim_id(platform),
        bank=bank,
        state=ClaimState.WAITING,
        kind=_KIND,
        quality=_QUALITY,
        made_at=platform.clock.now(),
        reason=note,
    )
    platform.bank.register(Registration(claim, tuple(hashes), looks_back=True))
    return claim


def list_again(
    old: Sequence[Claim], hashes: Iterable[bytes], platform: Platform, listings: ListingStore
) -> Claim:
    """A waiting claim on these hashes in the place of suspended ones of one bank, under the name
    that the platform gave them. May be done twice without harm: two claims on one hash are one.
    """
    made = list_hashes(hashes, old[0].bank, old[0].reason, platform)
    known = listings.listings([one.id for one in old])
    name = next((known[one.id].content_id for one in old if one.id in known), "")
    if name:
        listings.keep([made.id], Listing(name))
    platform.bank.withdraw(*(one.id for one in old))
    return made


def list_again_due(platform: Platform, listings: ListingStore) -> int:
    """Those that were switched off until a time which has come: how many match again."""
    due = listings.due(platform.clock.now())
    return sum(_on_again(platform.bank.claim(one), platform, listings) for one in due)


def _on_again(claim: Claim, platform: Platform, listings: ListingStore) -> bool:
    """False for one that matches already: whoever set its time died before it was suspended."""
    added = platform.bank.added_to([claim.id]).get(claim.id, {})
    hashes = [bits for bits in platform.bank.hashes_of(claim.id) if bits not in added]
    if claim.state is ClaimState.SUSPENDED and hashes:
        list_again([claim], hashes, platform, listings)
        return True
    kept = listings.listings([claim.id]).get(claim.id, Listing())
    listings.keep([claim.id], Listing(kept.content_id))
    return False
