"""Look back at what was let through, once a registration arrives later (docs/spec/gate.md, 5.2).

The work waits while the gate's clock is far ahead: a wrong clock would forget uploads too early.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import chain
from typing import Final

from entrenous.base.identifiers import ClaimId
from entrenous.stop.judge.decide import file_releases
from entrenous.stop.judge.decide import find as find_in
from entrenous.stop.judge.retroactive_matches import (
    SoughtHashes,
    SoughtSounds,
    all_orientations,
    kept_sounds,
    kept_uploads,
    matching_sounds,
    matching_uploads,
)
from entrenous.stop.judge.weigh import answered, asks, release_of, wanted_by
from entrenous.stop.nouns import RELEASED, Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import MATCHING, Claim
from entrenous.stop.upload_record import LateFind, ReviewState

MINUTE: Final = timedelta(minutes=1)


def note_clock(platform: Platform) -> int:
    """Remember what the clock says; to be called every minute. By how many days it is too far ahead
    to be believed.
    """
    platform.reviews.note_clock(MINUTE)
    return days_ahead(platform)


def days_ahead(platform: Platform) -> int:
    """By how many days the clock is too far ahead to be believed; 0 if it can be right."""
    mark, now = platform.reviews.clock_mark(), platform.clock.now()
    return (now - mark.at).days if mark is not None and mark.is_ahead(now) else 0


LEASE: Final = timedelta(minutes=2)  # as long as somebody may be at what is due
CLAIMS_MAX: Final = 1000  # at once: some seconds for each million of uploads
_FEW: Final = 100
_HASHES_AT_ONCE: Final = 20_000  # a video has up to 1,200


def look_back(claims: Collection[ClaimId], platform: Platform) -> int:
    """Put accepted uploads that fit these claims before a reviewer; how many. Those that wait
    already are told of these claims, also where nothing is kept of those that are let through.

    Reads all that is kept once, however many claims these are: 1,000 at a time keep what is found
    in bounds (``python -m bench.stopping.late``). What a bank would let through anyway, or only
    write down, is not looked for.
    """
    sought, sounds = _sought(claims, platform)
    stands = sorted((one.claim for one in sought), key=lambda one: one.confirmed)
    every = {(one.id, one.added): one for one in (*sounds.each_claim(), *stands)}
    finds = chain(_seen_before(sought, platform), _heard_before(sounds, platform))
    limit = platform.limits.held_per_hash
    unanswered = (left for find in finds if (left := _unanswered(find, every, platform)))
    return sum(platform.reviews.hold_late(find, limit) for find in unanswered)


def look_back_all(claims: Sequence[ClaimId], platform: Platform) -> int:
    """:func:`look_back` for any number of claims; how many uploads."""
    starts = range(0, len(claims), CLAIMS_MAX)
    return sum(look_back(claims[start : start + CLAIMS_MAX], platform) for start in starts)


def look_back_due(platform: Platform, most: int = CLAIMS_MAX) -> int:
    """:func:`look_back` for claims for which it is due and nobody else is at it, the newest first;
    for how many it was done. If for 0, none is due.

    Where it takes longer than :data:`LEASE`, another process may do the same again, which changes
    nothing.
    """
    until = platform.clock.now() + LEASE
    taken = platform.reviews.take_look_backs(until, most)
    if taken:
        look_back(taken, platform)
        platform.reviews.looked_back(until, taken)
    return len(taken)


def look_back_again(bank: Bank, platform: Platform) -> int:
    """Have all claims of a bank looked back for once more, by its policy as it is then; how many.
    None in shadow, nor of what was released, nor where nothing is kept to look back at.
    """
    if bank.shadow or bank.name == RELEASED or not platform.limits.look_back_days:
        return 0
    return platform.reviews.look_back_again(bank.name)


def look_back_now(platform: Platform) -> None:
    """For a claim that was just answered, and few others: what a list of a million brought is left
    to whoever has time.
    """
    look_back_due(platform, _FEW)


def tidy(platform: Platform) -> None:
    """Forget what is kept for a time only; to be called now and then. By a clock that cannot be
    right, nothing.
    """
    if days_ahead(platform):
        return
    days = timedelta(days=platform.limits.look_back_days)
    platform.reviews.forget_accepted(platform.clock.now() - days)
    platform.reviews.forget_removed(platform.clock.now())


def _sought(
    claims: Collection[ClaimId], platform: Platform
) -> tuple[list[SoughtHashes], SoughtSounds]:
    """Hashes and sounds of those that match, and that would have held an upload or refused it."""
    seen, heard = list[SoughtHashes](), SoughtSounds()
    banks = {bank.name: bank for bank in platform.bank.banks()}
    sounds, added = platform.bank.sounds_of(claims), platform.bank.added_to(claims)
    for claim, hashes in platform.bank.with_hashes(claims, frames=True).values():
        bank, theirs = banks[claim.bank], added.get(claim.id, {})
        if claim.state not in MATCHING:
            continue
        stands = ((theirs.get(bits, claim), bits) for bits in hashes)
        seen += (SoughtHashes(one, bits, bank.radius) for one, bits in stands if asks(one, bank))
        if claim.id in sounds and asks(claim, bank):
            heard.add(claim, *sounds[claim.id])
    return seen, heard


def _seen_before(sought: Sequence[SoughtHashes], platform: Platform) -> Iterator[LateFind]:
    if not sought:
        return
    entry_of = cache(lambda bits: _entry(bits, platform))
    for kept in kept_uploads(platform.reviews):
        for start in range(0, len(sought), _HASHES_AT_ONCE):
            for one in matching_uploads(sought[start : start + _HASHES_AT_ONCE], kept):
                yield LateFind(one.case, one.matches, entry_of(one.nearest))


def _heard_before(sought: SoughtSounds, platform: Platform) -> Iterator[LateFind]:
    """Numbers of sounds are negative where a flood is counted."""
    if not sought.sounds:
        return
    for kept in kept_sounds(platform.reviews):
        for one in matching_sounds(sought, kept):
            yield LateFind(one.case, one.matches, -one.sound)


def _unanswered(
    find: LateFind, claims: Mapping[tuple[ClaimId, bool], Claim], platform: Platform
) -> LateFind | None:
    """Without what a person answered when they let its like through, as of an upload (section 5): a
    claim is looked back for more than once, and the same question is not asked twice. A frame that
    fits may be of the whole video, so what a confirmed claim calls for is not told by its parts.
    """
    upload = platform.reviews.review(find.case)
    banks = {bank.name: bank for bank in platform.bank.banks()}
    hits = find_in(all_orientations(upload.bits), platform, part=False) if upload.bits else ()
    releases = [release_of(*hit) for hit in hits if hit[0].bank == RELEASED]
    if upload.upload_sha256 is not None:
        releases += file_releases(upload.upload_sha256, platform)
    waits = upload.state is ReviewState.WAITING
    known = {match.claim for match in upload.decision.matches} if waits else set()
    left = tuple(
        match
        for match in find.matches
        if match.claim not in known
        for claim in [claims[match.claim, match.added]]
        if not answered(wanted_by(claim, banks[claim.bank]), match, claim, releases)
    )
    return replace(find, matches=left) if left else None


def _entry(bits: bytes, platform: Platform) -> int:
    """The number of a registered hash; 0 if it was withdrawn just now."""
    near = platform.index.near([bits], part=False)
    return min(((one.distance, one.entry) for one in near), default=(0, 0))[1]
