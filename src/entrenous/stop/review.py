"""A person looks at a quarantined upload and decides what it is (docs/spec/gate.md, 7).

Reviewers and their tokens, the blurred view, and the decision. Many uploads that match one
registered hash wait as one item (5.1). The operator's own program alerts a person to such a flood
and to overdue reviews (7.4).
"""

import hashlib
import re
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import Cut, FramesTooLarge, NoFrames
from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import PDQ_RADIUS, TOKEN_BYTES
from entrenous.base.picture import Medium, NotAPicture, TooManyPixels
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import SOUND_KIND, VIDEO_KIND, Match
from entrenous.fingerprint.pdq import looked_pixels
from entrenous.media.file_kind import medium_of
from entrenous.media.resize import SIDE_PX, blurred_preview
from entrenous.stop.judge.decide import UNREAD, file_releases, find_at, unread_key
from entrenous.stop.judge.retroactive_matches import all_orientations
from entrenous.stop.judge.scan import first_scan
from entrenous.stop.judge.weigh import (
    INSIDE,
    answered,
    asked_about,
    best_entry,
    best_of_each,
    release_of,
    wanted_by,
)
from entrenous.stop.nouns import RELEASED, RELEASED_RADIUS, SAME_BITS, Alert, PageFailed
from entrenous.stop.platform import Platform
from entrenous.stop.register import new_claim_id
from entrenous.stop.registration import MATCHING, Claim, ClaimEvent, ClaimState, Registration
from entrenous.stop.stores import BankStore
from entrenous.stop.upload_record import (
    OPERATOR,
    FitsMore,
    Found,
    LateFind,
    NoView,
    Review,
    ReviewState,
    SecondPersonNeeded,
    UploadNotKept,
)
from entrenous.wire.encodings import to_base64url

_FORM: Final = re.compile(rb"[A-Za-z0-9_-]{43}")


def add_reviewer(name: str, platform: Platform) -> Secret:
    """Let a person decide; their token, as the text that they show, is told this once.

    Raises:
        BadReviewerName, ReviewerKnown: nothing was changed.
    """
    token = Secret(to_base64url(platform.dice.token(TOKEN_BYTES)).encode())
    platform.reviews.add_reviewer(name, _kept(token.reveal()))
    return token


def reviewer_with(untrusted_token: bytes, platform: Platform) -> str | None:
    """The name of whose token it is; None if it is nobody's.

    It is looked up by its hash, which tells a patient stranger's stopwatch nothing about it. What
    no token can be is not asked of the database.
    """
    if not _FORM.fullmatch(untrusted_token):
        return None
    found = platform.reviews.reviewer_with(_kept(untrusted_token))
    return None if found is None else found.name


def _kept(token: bytes) -> bytes:
    """Random 256 bits need no slow hash."""
    return hashlib.sha256(token).digest()


UNREAD_BYTES_MAX: Final = 256 * 1024 * 1024  # of waiting uploads without a hash, together
HOUR: Final = timedelta(hours=1)
_AS_IT_CAME: Final = (Found.UPLOAD, Found.PUBLISHED)
_DECIDED_WITHIN: Final = {
    ReviewState.RELEASED: RELEASED_RADIUS,
    ReviewState.CONFIRMED: PDQ_RADIUS,
}


def is_unread(review: Review) -> bool:
    """Whether it was held because it could not be read: it has no hash, and fits none."""
    return review.entry is None and review.bits is None and review.found in _AS_IT_CAME


def wait_together(review: Review, others: Sequence[Review], held_per_hash: int) -> bool:
    """Whether an upload and ``others``, which wait singly for the same hash, become one item.

    What is looked back at came at any time, so of it all are counted; of uploads, the last hour's.
    A file that cannot be read is one item from the second time on: ``others`` are the same file.
    """
    if is_unread(review):
        return True
    recent = [one for one in others if review.found is Found.LOOK_BACK or one.at > review.at - HOUR]
    return len(recent) + 1 > held_per_hash


def is_same_flood(bits: bytes | None, other: bytes | None, radius: int = RELEASED_RADIUS) -> bool:
    """Whether two uploads' hashes are at most ``radius`` bits apart."""
    if bits is None or other is None:
        return False
    return (int.from_bytes(bits) ^ int.from_bytes(other)).bit_count() <= radius


def decided_with(review: Review, waiting: Sequence[Review], state: ReviewState) -> list[Review]:
    """Of those that wait with it, the ones that its decision is about too: the same file and what
    is like it. What lies nearer to a claim than to what the reviewer saw, or fits another claim, is
    not released with it: the first of a flood may be a picture with a part covered.
    """
    return [one for one in waiting if _is_same_file(review, one) or _is_like(review, one, state)]


def _is_like(review: Review, other: Review, state: ReviewState) -> bool:
    near = is_same_flood(review.bits, other.bits, _DECIDED_WITHIN[state])
    return near and (state is not ReviewState.RELEASED or _asks_no_more(other, review))


def _asks_no_more(one: Review, than: Review) -> bool:
    """Whether what was said of ``than`` answers what is asked of ``one``."""
    wholes = [match.distance for match in one.decision.matches if not match.part]
    claims = {match.claim for match in one.decision.matches}
    known = claims <= {match.claim for match in than.decision.matches}
    return known and is_same_flood(one.bits, than.bits, max(SAME_BITS, min(wholes, default=0)))


def _is_same_file(review: Review, other: Review) -> bool:
    known = review.upload_sha256
    return known is not None and known == other.upload_sha256


_BEGINNING: Final = Cut(stop_s=10.0, side_px=SIDE_PX, apart_s=1.0)
_NOTHING_SEEN: Final = (*UNREAD, NotAPicture, TooManyPixels, NoFrames, FramesTooLarge)


def blurred_view(case: str, by: str, platform: Platform) -> bytes:
    """A small, grey, blurred PNG of a held upload; the log says that this person saw it.

    Raises:
        NoSuchReview, UploadNotKept.
        NoView: there is nothing to be seen in it, or it cannot be read.
    """
    upload = platform.reviews.upload(case)
    try:
        view = blurred_preview(_pixels(upload, platform))
    except _NOTHING_SEEN:
        raise NoView(case=case) from None
    _note(case, by, "view", platform)
    return view


def clear_upload(case: str, by: str, platform: Platform) -> bytes:
    """The bytes of a held upload (untrusted), for who asks for just these; likewise.

    Raises:
        NoSuchReview, UploadNotKept.
    """
    upload = platform.reviews.upload(case)
    _note(case, by, "bytes", platform)
    return upload


def _pixels(untrusted_upload: bytes, platform: Platform) -> NDArray[np.uint8]:
    medium = medium_of(untrusted_upload)
    if medium is Medium.SOUND:
        raise NoFrames
    if medium is Medium.PICTURE:
        return looked_pixels(platform.read_upload(untrusted_upload, SIDE_PX))
    return max(_frames(untrusted_upload, platform), key=lambda luma: float(luma.std()))


def _frames(untrusted_upload: bytes, platform: Platform) -> list[NDArray[np.uint8]]:
    """Some of its beginning, since many begin with a black one; at least one, however it ends."""
    frames = list[NDArray[np.uint8]]()
    try:
        with platform.read_clip(untrusted_upload, _BEGINNING) as clip:
            frames.extend(np.asarray(frame) for frame in clip.frames)
    except UNREAD:
        if not frames:
            raise
    if not frames:
        raise NoFrames
    return frames


def _note(case: str, by: str, what: str, platform: Platform) -> None:
    platform.bank.note("upload seen", case, {"by": by, "as": what})


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
            return first_scan(upload, platform)[1].bits
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
    found = find_at(all_orientations(bits), platform, part=False)
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


WAIT_S: Final = 30.0


def run_alert_program(command: Sequence[str], page: Alert, wait_s: float = WAIT_S) -> None:
    """Run it, without a shell, with what the page is about and how many as its last arguments.

    Nothing of a case is told. What it writes goes nowhere: it may repeat a secret of its own.

    Raises:
        PageFailed: it can't be started, ends with another status than 0, or takes too long.
    """
    told = [*command, page.kind.value, str(page.count)]
    nowhere = subprocess.DEVNULL
    try:
        done = subprocess.run(  # noqa: S603 -- the operator's own words, in a file of theirs
            told, stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=wait_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise PageFailed(kind=page.kind, why=f"takes longer than {wait_s:g} seconds") from None
    except (OSError, ValueError, subprocess.SubprocessError):
        raise PageFailed(kind=page.kind, why="cannot be started") from None
    if done.returncode != 0:
        raise PageFailed(kind=page.kind, why="says that it failed")


def send_alert(platform: Platform) -> tuple[PageFailed, ...]:
    """Run the operator's program for what nobody was told of within the hour; what failed.

    Raises:
        BankUnreachable.
    """
    if platform.page is None:
        return ()
    failed = []
    before = platform.clock.now() - timedelta(hours=platform.limits.page_after_hours)
    for page in platform.reviews.take_pages(before, platform.limits.held_per_hash):
        try:
            platform.page(page)
        except PageFailed as why:
            failed.append(why)
        else:
            platform.reviews.paged(page)
    return tuple(failed)
