"""Look back: compare accepted uploads with claims that were made later (docs/spec/gate.md, 5.2).

A look-back is due for a claim that was registered or confirmed, or that got further hashes. Claims
of banks in shadow mode, whose outcomes are only recorded, are skipped. Expired data is not deleted
while the gate's clock is far ahead, since the clock may be wrong.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import chain
from typing import Final

from entrenous.base.identifiers import ClaimId
from entrenous.stop.judge.decide import find_hits, releases_of_file
from entrenous.stop.judge.retroactive_matches import (
    SoughtHash,
    SoughtSounds,
    matching_uploads,
    orientation_and_inversion_hashes,
    read_stored_sound_prints,
    read_stored_upload_hashes,
    uploads_with_matching_sounds,
)
from entrenous.stop.judge.weigh import (
    is_overruled_by_release,
    needs_action,
    policy_outcome,
    release_from_hit,
)
from entrenous.stop.nouns import RELEASED_BANK, Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import MATCHING_STATES, Claim
from entrenous.stop.upload_record import RetroactiveMatches, ReviewState

CLOCK_CHECK_INTERVAL: Final = timedelta(minutes=1)


def record_clock(platform: Platform) -> None:
    """Record the clock's time; call it every minute."""
    platform.reviews.record_clock(CLOCK_CHECK_INTERVAL)


def clock_days_ahead(platform: Platform) -> int:
    """Return by how many days the clock is implausibly ahead; 0 if it may be right."""
    mark, now = platform.reviews.clock_mark(), platform.clock.now()
    return (now - mark.at).days if mark is not None and mark.is_clock_ahead(now) else 0


LEASE_DURATION: Final = timedelta(
    minutes=2
)  # the time in which one process does work that it has leased
# The number of claims per look-back, which takes a few seconds for each million uploads.
CLAIMS_PER_LOOK_BACK: Final = 1000
_NEWEST_CLAIMS_MAX: Final = 100
_HASHES_PER_SEARCH: Final = 20_000  # hashes searched at once; a video has up to 1,200


def look_back(claims: Collection[ClaimId], platform: Platform) -> int:
    """Find accepted uploads that match these claims, and hold them for review. Return the number of
    uploads held.

    These claims are also added to uploads that wait already, even if no data of accepted uploads is
    stored. All stored uploads are read once, whatever the number of claims. Pass at most 1,000
    claims at a time, which limits the memory (measured by ``python -m bench.stopping.late``).
    Claims are skipped if their bank lets uploads through or is in shadow mode.
    """
    hashes, sounds = _hashes_and_sounds_to_search(claims, platform)
    # A claim may occur twice for a hash that a reviewer added: the latest confirmation counts.
    by_confirmation = sorted((one.claim for one in hashes), key=lambda one: one.confirmed)
    every = {(one.id, one.added): one for one in (*sounds.each_claim(), *by_confirmation)}
    finds = chain(_matches_of_hashes(hashes, platform), _matches_of_sounds(sounds, platform))
    limit = platform.limits.held_per_hash
    left = (
        rest
        for retroactive_matches in finds
        if (rest := _without_released_or_seen(retroactive_matches, every, platform))
    )
    return sum(
        platform.reviews.hold_retroactively(retroactive_matches, limit)
        for retroactive_matches in left
    )


def look_back_in_batches(claims: Sequence[ClaimId], platform: Platform) -> int:
    """Look back for any number of claims; return the number of uploads held."""
    starts = range(0, len(claims), CLAIMS_PER_LOOK_BACK)
    return sum(
        look_back(claims[start : start + CLAIMS_PER_LOOK_BACK], platform) for start in starts
    )


def look_back_for_due_claims(platform: Platform, most: int = CLAIMS_PER_LOOK_BACK) -> int:
    """Look back for claims that are due and not leased to others, the newest first.

    If the look-back takes longer than :data:`LEASE_DURATION`, another process may repeat it, which
    is harmless.

    Returns:
        The number of claims for which the look-back was done; 0 if none is due.
    """
    until = platform.clock.now() + LEASE_DURATION
    taken = platform.reviews.lease_look_backs(until, most)
    if taken:
        look_back(taken, platform)
        platform.reviews.finish_look_backs(until, taken)
    return len(taken)


def schedule_look_backs(bank: Bank, platform: Platform) -> int:
    """Make look-backs due for all claims of a bank; return for how many claims.

    A look-back applies the policy that the bank has when it runs.

    None becomes due for a bank in shadow mode, for the bank "released", or if no data of uploads is
    kept.
    """
    if bank.shadow or bank.name == RELEASED_BANK or not platform.limits.look_back_days:
        return 0
    return platform.reviews.schedule_look_backs(bank.name)


def look_back_for_newest_claims(platform: Platform) -> None:
    """Look back for the newest 100 claims that are due, among them one that was just registered.

    The rest, such as an imported list of a million, is left to background work.
    """
    look_back_for_due_claims(platform, _NEWEST_CLAIMS_MAX)


def delete_expired_upload_data(platform: Platform) -> None:
    """Delete expired data of accepted and removed uploads; call it regularly.

    Nothing is deleted while the clock is implausible.
    """
    if clock_days_ahead(platform):
        return
    days = timedelta(days=platform.limits.look_back_days)
    platform.reviews.delete_accepted_data(platform.clock.now() - days)
    platform.reviews.delist_removed_uploads(platform.clock.now())


def _hashes_and_sounds_to_search(
    claims: Collection[ClaimId], platform: Platform
) -> tuple[list[SoughtHash], SoughtSounds]:
    """Return the hashes and sounds of matching claims whose bank holds or refuses uploads."""
    wanted_hashes, wanted_sounds = list[SoughtHash](), SoughtSounds()
    banks = {bank.name: bank for bank in platform.bank.banks()}
    sounds, added = platform.bank.sounds_of(claims), platform.bank.hashes_added_to(claims)
    for claim, hashes in platform.bank.claims_with_hashes(claims, frames=True).values():
        bank, on_added = banks[claim.bank], added.get(claim.id, {})
        if claim.state not in MATCHING_STATES:
            continue
        for bits in hashes:
            claim_on_hash = on_added.get(bits, claim)
            if needs_action(claim_on_hash, bank):
                wanted_hashes.append(SoughtHash(claim_on_hash, bits, bank.radius))
        if claim.id in sounds and needs_action(claim, bank):
            wanted_sounds.add(claim, *sounds[claim.id])
    return wanted_hashes, wanted_sounds


def _matches_of_hashes(
    sought: Sequence[SoughtHash], platform: Platform
) -> Iterator[RetroactiveMatches]:
    if not sought:
        return
    entry_of = cache(lambda bits: _nearest_entry_number(bits, platform))
    for kept in read_stored_upload_hashes(platform.reviews):
        for start in range(0, len(sought), _HASHES_PER_SEARCH):
            for one in matching_uploads(sought[start : start + _HASHES_PER_SEARCH], kept):
                yield RetroactiveMatches(one.case, one.matches, entry_of(one.nearest))


def _matches_of_sounds(sought: SoughtSounds, platform: Platform) -> Iterator[RetroactiveMatches]:
    """Yield the matches of sounds.

    Each match has the number by which floods (many uploads that match one hash) are counted; for a
    sound it is negative.
    """
    if not sought.sounds:
        return
    for kept in read_stored_sound_prints(platform.reviews):
        for one in uploads_with_matching_sounds(sought, kept):
            yield RetroactiveMatches(one.case, one.matches, -one.sound)


def _without_released_or_seen(
    retroactive_matches: RetroactiveMatches,
    claims: Mapping[tuple[ClaimId, bool], Claim],
    platform: Platform,
) -> RetroactiveMatches | None:
    """Return the match without the claims that a release overrules or that the reviewer has already
    seen; None if no claim is left.

    Releases apply in the same way as for a new upload (section 5), so that a repeated look-back
    does not ask the reviewer the same question twice. The bank's outcome for whole matches applies
    even if only a frame matches, since the upload may be the whole video.
    """
    upload = platform.reviews.review(retroactive_matches.case)
    banks = {bank.name: bank for bank in platform.bank.banks()}
    hits = (
        find_hits(orientation_and_inversion_hashes(upload.bits), platform, part=False)
        if upload.bits
        else ()
    )
    releases = [release_from_hit(*hit) for hit in hits if hit[0].bank == RELEASED_BANK]
    if upload.upload_sha256 is not None:
        releases += releases_of_file(upload.upload_sha256, platform)
    waits = upload.state is ReviewState.WAITING
    known = {match.claim for match in upload.decision.matches} if waits else set()
    left = tuple(
        match
        for match in retroactive_matches.matches
        if match.claim not in known
        for claim in [claims[match.claim, match.added]]
        if not is_overruled_by_release(
            policy_outcome(claim, banks[claim.bank]), match, claim, releases
        )
    )
    return replace(retroactive_matches, matches=left) if left else None


def _nearest_entry_number(bits: bytes, platform: Platform) -> int:
    """Return the number of the registered hash that is nearest to ``bits``; 0 if there is none."""
    near = platform.index.find_near_hashes([bits], part=False)
    return min(((one.distance, one.entry) for one in near), default=(0, 0))[1]
