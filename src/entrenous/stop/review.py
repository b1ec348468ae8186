"""A person looks at what was held, and says what it is (docs/spec/gate.md section 7)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from entrenous.craft.media.kind import medium_of
from entrenous.model.bank import RELEASED
from entrenous.model.claim import MATCHING, Claim, ClaimEvent, ClaimState, Registration
from entrenous.model.fingerprint import Match
from entrenous.model.ids import ClaimId
from entrenous.model.medium import Medium
from entrenous.model.picture import NotAPicture, TooManyPixels
from entrenous.model.print import SOUND_KIND, VIDEO_KIND
from entrenous.model.review import FitsMore, LateFind, Review, ReviewState, UploadNotKept
from entrenous.model.reviewer import OPERATOR, SecondPersonNeeded
from entrenous.ports import BankStore, Platform
from entrenous.stop.before_answer import first_look
from entrenous.stop.gate import UNREAD, find_at
from entrenous.stop.register import new_claim_id
from entrenous.stop.released import file_releases, unread_key
from entrenous.stop.turned import every_way
from entrenous.stop.weigh import (
    INSIDE,
    answered,
    asked_about,
    best_entry,
    best_of_each,
    release_of,
    wanted_by,
)

DISPUTES_MAX: Final = 3  # as many reviewers who disagree suspend a claim
AS_GOOD_AS_IT_BITS: Final = 8  # from what was registered; farther away more may be in it, or less

_Means = Callable[[Review, BankStore], None]  # what a decision does to the bank
Shown = Collection[ClaimId] | None
"""The claims that a reviewer saw with a case; None if nobody says."""


def next_review(platform: Platform, after: str = "", by: str = "") -> Review | None:
    """The first upload that waits, or the first after that case; None when nothing waits there.

    Where two persons confirm, what ``by``, one of them, has confirmed is passed over: it waits for
    the other.
    """
    return platform.reviews.next(after, by if platform.limits.confirmers > 1 else "")


def confirm(case: str, platform: Platform, by: str = OPERATOR, shown: Shown = None) -> Review:
    """The upload is what the claims say: refuse it, and from now on its like without a person.

    A claim is confirmed if the upload is the very picture, video or sound that it registered. Each
    that it fits gets the upload's own hash, so that the same cut-out is found as a whole next time,
    and refused; of a larger picture, of which the person may have seen another part, held. When the
    holder withdraws, that hash goes too.

    Where two persons confirm, the first one's word is noted, and the upload waits for another.

    Returns:
        The review with its state from now on.

    Raises:
        NoSuchReview, AlreadyDecided, BankUnreachable: nothing is changed.
        FitsMore: likewise; the case fits a claim that is not among the ``shown``.
        SecondPersonNeeded: likewise; ``by`` is the first of two.
    """
    if platform.limits.confirmers == 1:
        return _close(case, ReviewState.CONFIRMED, _seen(shown, _agree), by, platform)
    _require_shown(platform.reviews.review(case), shown)
    if platform.reviews.confirm_first(case, by):
        return platform.reviews.review(case)

    def agree(review: Review, bank: BankStore) -> None:
        if review.first_confirmer in ("", by):  # whoever was first has been removed meanwhile
            raise SecondPersonNeeded(case=case, reviewer=by)
        _agree(review, bank)

    return _close(case, ReviewState.CONFIRMED, _seen(shown, agree), by, platform)


def release(case: str, platform: Platform, by: str = OPERATOR, shown: Shown = None) -> Review:
    """The upload is something else: let it through, and do not ask again about its like.

    A claim whose *whole* picture it fits was disputed; three disputes suspend it. A claim that it
    fits only in part is not blamed. A confirmed claim stays confirmed. Of what a machine refused no
    hash was kept: it is made anew of the file that came with the appeal; without one, or without a
    hash as of a clip, this very file is let through from now on. One person does it.

    Returns:
        The review with its state from now on.

    Raises:
        NoSuchReview, AlreadyDecided, BankUnreachable: nothing is changed.
        FitsMore: likewise; it fits a claim that is not among the ``shown``, or one that is so new
            that the case did not name it: now it does.
    """
    anew = _hash_anew(case, platform)
    _require_all_known(case, anew, platform)

    def disagree(review: Review, bank: BankStore) -> None:
        facts = bank.facts({match.claim for match in review.decision.matches})
        kinds = {one: fact.claim.kind for one, fact in facts.items()}
        live = [one for one in _live(review, bank) if one.claim in kinds and not one.part]
        _dispute([one.claim for one in live if _is_it(one, kinds)], bank)
        bits = review.bits or anew
        if bits is not None and review.decision.matches:
            bank.register(_let_through(bits, platform))
        elif review.upload_sha256 is not None and not review.decision.matches:
            # Nobody could read it, so there was nothing to compare: these bytes, and no claim.
            bank.release_file(unread_key(review.upload_sha256), review.at)
        elif review.upload_sha256 is not None:
            # This very file (section 11, 11.5), against the claims that the person was shown.
            newest = max((fact.claim.made_at for fact in facts.values()), default=review.at)
            bank.release_file(review.upload_sha256, newest)

    return _close(case, ReviewState.RELEASED, _seen(shown, disagree), by, platform)


def _close(case: str, state: ReviewState, also: _Means, by: str, platform: Platform) -> Review:
    keeps = platform.limits.look_back_days > 0
    review = platform.reviews.close(case, state, also, by, keeps=keeps)
    return replace(review, state=state, first_confirmer="", has_bytes=False)


def _seen(shown: Shown, also: _Means) -> _Means:
    def after_a_look(review: Review, bank: BankStore) -> None:
        _require_shown(review, shown)
        also(review, bank)

    return after_a_look


def _require_shown(review: Review, shown: Shown) -> None:
    if shown is not None and not {match.claim for match in review.decision.matches} <= set(shown):
        raise FitsMore(case=review.case)


def _hash_anew(case: str, platform: Platform) -> bytes | None:
    """Of a picture whose hash was not kept and whose bytes are here; else None."""
    review = platform.reviews.review(case)
    if review.bits is not None or not review.has_bytes:
        return None
    try:
        upload = platform.reviews.upload(case)
        if medium_of(upload) is Medium.PICTURE:
            return first_look(upload, platform)[1].bits
    except (*UNREAD, NotAPicture, TooManyPixels, UploadNotKept):
        # it was held as unreadable, or another reviewer was faster
        pass
    return None


def _require_all_known(case: str, anew: bytes | None, platform: Platform) -> None:
    """A release says no to claims of before it. So one that came since, for which it was not looked
    back yet or could not be, as nothing of a refused upload is kept, is told of first.
    """
    review = platform.reviews.review(case)
    bits = review.bits or anew
    if bits is None or review.state is not ReviewState.WAITING:
        return
    known = {match.claim for match in review.decision.matches}
    found = find_at(every_way(bits), platform, part=False)
    banks = {bank.name: bank for bank in platform.bank.banks()}
    releases = [release_of(*hit) for _, hit in found if hit[0].bank == RELEASED]
    if review.upload_sha256 is not None:
        releases += file_releases(review.upload_sha256, platform)
    news = [
        (entry, (match, claim))
        for entry, (match, claim) in asked_about(found, banks)
        if claim.id not in known
        and not answered(wanted_by(claim, banks[claim.bank]), match, claim, releases)
    ]
    matches = tuple(match for match, _ in best_of_each(hit for _, hit in news))
    if matches and (entry := best_entry(news)) is not None:
        platform.reviews.hold_late(LateFind(case, matches, entry), platform.limits.held_per_hash)
        raise FitsMore(case=case)


def _agree(review: Review, bank: BankStore) -> None:
    # What was withdrawn while the upload waited is passed over: the holder's word stands.
    # So is one that was suspended: the operator's word stands, or that of those who disputed it.
    facts = bank.facts({match.claim for match in review.decision.matches})
    matching = {one for one, fact in facts.items() if fact.claim.state in MATCHING}
    live = [match for match in _live(review, bank) if match.claim in matching]
    # Only a person confirms, and they have seen the upload alone: not what else the claim has of
    # which the upload shows a part, nor what an upload shows that was added to it.
    kinds = {one: fact.claim.kind for one, fact in facts.items()}
    bank.move_all(ClaimEvent.CONFIRM, *(one.claim for one in live if _is_it(one, kinds)))
    if review.bits is not None:
        larger = {match.claim for match in live if INSIDE in match.how}
        bank.extend({one.claim for one in live} - larger, review.bits, confirmed=True)
        bank.extend(larger, review.bits, confirmed=False)


def _is_it(match: Match, kinds: Mapping[ClaimId, str]) -> bool:
    """Whether the upload is what the claim registered: a picture as good as unchanged, for in what
    only resembles it something else may be seen; a video by the order of its frames as well. A
    sound is held at most, whatever it is.
    """
    if kinds[match.claim] == SOUND_KIND:
        return True
    near = kinds[match.claim] == VIDEO_KIND or match.distance <= AS_GOOD_AS_IT_BITS
    return near and not (match.part or match.added)


def _live(review: Review, bank: BankStore) -> list[Match]:
    """Hits that had a say: what a bank in shadow found is not what the person was asked about."""
    shadows = {one.name for one in bank.banks() if one.shadow}
    return [match for match in review.decision.matches if match.bank not in shadows]


def _dispute(claims: Sequence[ClaimId], bank: BankStore) -> None:
    """All at once: thousands may be on one hash, and uploads wait while this is written."""
    disputed = bank.dispute(*claims)
    waiting = [one for one in disputed if one.state is ClaimState.WAITING]
    suspended = [one.id for one in waiting if one.disputes >= DISPUTES_MAX]
    bank.move_all(ClaimEvent.SUSPEND, *suspended)


def _let_through(bits: bytes, platform: Platform) -> Registration:
    """An entry of the negative bank: the hash of an upload that a person let through."""
    claim = Claim(
        id=new_claim_id(platform),
        bank=RELEASED,
        state=ClaimState.CONFIRMED,
        kind="pdq",
        quality=100,
        made_at=platform.clock.now(),
    )
    return Registration(claim, (bits,))
