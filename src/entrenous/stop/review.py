"""Human review of quarantined uploads (docs/spec/gate.md, 7).

Reviewers see a blurred view, and decide. A flood, many uploads that match one registered hash,
waits as one item (5.1). The operator's program alerts a person to floods and to overdue reviews
(7.4).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from entrenous.base.audio_video import FramesTooLarge, NoVideoFound
from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import PDQ_RADIUS_BITS
from entrenous.base.picture import MediaKind, NotAPicture, TooManyPixels
from entrenous.fingerprint.nouns import SOUND_KIND, VIDEO_KIND, Match
from entrenous.media.file_kind import is_animated, media_kind_of
from entrenous.media.resize import blurred_preview
from entrenous.stop.judge.decide import (
    UNREADABLE_ERRORS,
    find_numbered_hits,
    releases_of_file,
    unreadable_release_key,
)
from entrenous.stop.judge.retroactive_matches import orientation_and_inversion_hashes
from entrenous.stop.judge.scan import first_scan
from entrenous.stop.judge.weigh import (
    IN_LARGER_PICTURE_EDIT,
    is_overruled_by_release,
    matches_to_review,
    policy_outcome,
    release_from_hit,
)
from entrenous.stop.nouns import (
    RELEASED_BANK,
    RELEASED_RADIUS_BITS,
    SAME_PICTURE_BITS_MAX,
    Alert,
    AlertProgramFailed,
)
from entrenous.stop.platform import Platform
from entrenous.stop.register import new_claim_id
from entrenous.stop.registration import MATCHING_STATES, Claim, ClaimEvent, ClaimState, Registration
from entrenous.stop.reviewed_pixels import decode_view_pixels
from entrenous.stop.upload_record import (
    OPERATOR_NAME,
    FoundBy,
    NoView,
    RetroactiveMatches,
    Review,
    ReviewState,
    SecondPersonNeeded,
    UnshownMatches,
    UploadNotKept,
)

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore

UNDECODABLE_BYTES_MAX: Final = (
    256 * 1024 * 1024
)  # bytes that are stored of all waiting uploads without a hash together
FLOOD_PERIOD: Final = timedelta(hours=1)
_WAYS_FOUND_ON_ARRIVAL: Final = (FoundBy.UPLOAD, FoundBy.PUBLISHED)
_DECIDED_TOGETHER_BITS_MAX: Final = {
    ReviewState.RELEASED: RELEASED_RADIUS_BITS,
    ReviewState.CONFIRMED: PDQ_RADIUS_BITS,
}


def was_undecodable(review: Review) -> bool:
    """Return whether an upload was held because it could not be decoded, so that it has no hash."""
    return review.entry is None and review.bits is None and review.found in _WAYS_FOUND_ON_ARRIVAL


def should_wait_together(review: Review, others: Sequence[Review], held_per_hash: int) -> bool:
    """Return whether an upload and ``others`` become one item of the review queue.

    ``others`` wait as single items for the same registered hash.

    If a look-back (a search of earlier uploads) found the upload, all ``others`` count, since such
    uploads may have arrived at any time. Otherwise, only those count that arrived less than an hour
    before the upload, or after it. Repeated uploads of one unreadable file become one item at once;
    ``others`` are then uploads of the same file.
    """
    if was_undecodable(review):
        return True
    recent = [
        one
        for one in others
        if review.found is FoundBy.LOOK_BACK or one.at > review.at - FLOOD_PERIOD
    ]
    return len(recent) + 1 > held_per_hash


def are_similar_hashes(
    bits: bytes | None, other: bytes | None, radius: int = RELEASED_RADIUS_BITS
) -> bool:
    """Return whether two uploads' hashes are at most ``radius`` bits apart."""
    if bits is None or other is None:
        return False
    return (int.from_bytes(bits) ^ int.from_bytes(other)).bit_count() <= radius


def find_decided_together(
    review: Review, waiting: Sequence[Review], state: ReviewState, *, similar: bool
) -> list[Review]:
    """Return the uploads waiting with ``review`` to which the decision on it applies too.

    They are uploads of the same file, and with ``similar`` those that are similar. A similar upload
    is not released if it matches a claim that ``review`` does not match. Nor is it released if it
    is more than 4 bits from ``review`` and nearer to a claim than to ``review``: the upload that
    the reviewer saw may be a version with something covered.
    """
    return [
        one
        for one in waiting
        if _is_same_file(review, one) or (similar and _decision_applies_to(review, one, state))
    ]


def _decision_applies_to(review: Review, other: Review, state: ReviewState) -> bool:
    near = are_similar_hashes(review.bits, other.bits, _DECIDED_TOGETHER_BITS_MAX[state])
    return near and (state is not ReviewState.RELEASED or _release_overrules_matches(review, other))


def _release_overrules_matches(review: Review, other: Review) -> bool:
    """Return whether a release of ``review`` overrules all matches of ``other``."""
    wholes = [match.distance for match in other.decision.matches if not match.part]
    claims = {match.claim for match in other.decision.matches}
    known = claims <= {match.claim for match in review.decision.matches}
    return known and are_similar_hashes(
        other.bits, review.bits, max(SAME_PICTURE_BITS_MAX, min(wholes, default=0))
    )


def _is_same_file(review: Review, other: Review) -> bool:
    return review.upload_sha256 is not None and review.upload_sha256 == other.upload_sha256


_NO_VIEW_ERRORS: Final = (
    *UNREADABLE_ERRORS,
    NotAPicture,
    TooManyPixels,
    NoVideoFound,
    FramesTooLarge,
)


def make_blurred_view_and_log(case: str, by: str, platform: Platform) -> bytes:
    """Make a small, grey, blurred PNG of a held upload, and log that this person saw it.

    Raises:
        NoSuchReview, UploadNotKept.
        NoView: the upload has no picture, or cannot be decoded.
    """
    upload = platform.reviews.upload_bytes(case)
    try:
        view = blurred_preview(decode_view_pixels(upload, platform))
    except _NO_VIEW_ERRORS:
        raise NoView(case=case) from None
    _log_view(case, by, "view", platform)
    return view


def read_upload_bytes_and_log(case: str, by: str, platform: Platform) -> bytes:
    """Return the bytes of a held upload (untrusted), and log that this person saw it.

    Raises NoSuchReview, UploadNotKept.
    """
    upload = platform.reviews.upload_bytes(case)
    _log_view(case, by, "bytes", platform)
    return upload


def _log_view(case: str, by: str, event: str, platform: Platform) -> None:
    platform.bank.append_audit_row("upload seen", case, {"by": by, "as": event})


# A waiting claim is suspended after this many disputes by reviewers, and any claim once this many
# platforms are against it.
DISPUTES_TO_SUSPEND: Final = 3
# The largest distance, in bits, from the registered hash at which an upload counts as what was
# registered.
_UNCHANGED_BITS_MAX: Final = 8
_DecisionEffect = Callable[[Review, "BankStore"], None]  # what a decision does to the bank
ShownClaims = Collection[ClaimId] | None  # the claims shown to the reviewer; None if not stated


def next_review(platform: Platform, after: str = "", by: str = "") -> Review | None:
    """Return the first waiting upload, or the first one after the case ``after``; None if there is
    none.

    If two people have to confirm, cases that ``by`` has confirmed are skipped: they wait for
    another person.
    """
    return platform.reviews.next_waiting_upload(after, by if platform.limits.confirmers > 1 else "")


def confirm_case(
    case: str, platform: Platform, by: str = OPERATOR_NAME, shown: ShownClaims = None
) -> Review:
    """Confirm that the upload shows what was registered, and refuse it.

    A claim becomes confirmed if the upload is the registered picture, video or sound itself. The
    upload's hash is added to each matching claim, so that the same cut-out is refused without a
    reviewer next time (for a refused upload it is computed again from the file that came with an
    appeal). If the picture was found inside a larger one, uploads that match the added
    hash are only held, since the reviewer may have judged a different part. The added hash is
    deleted when the holder withdraws the claim.

    If two people have to confirm, the first confirmation is recorded, and the upload waits for
    another person.

    Returns:
        The review with its new state.

    Raises:
        NoSuchReview, AlreadyDecided, BankUnreachable: nothing is changed.
        UnshownMatches: the case matches a claim that is not among ``shown``; nothing is changed.
        SecondPersonNeeded: ``by`` is the first of two; nothing is changed.
    """
    with_two = platform.limits.confirmers > 1
    if with_two and platform.reviews.record_first_confirmation(
        case, by, lambda review: _require_shown(review, shown)
    ):
        return platform.reviews.review(case)
    recomputed = _recompute_hash(case, platform)

    def confirm(review: Review, bank: BankStore) -> None:
        if with_two and review.first_confirmer in ("", by):  # the first of two was removed
            raise SecondPersonNeeded(case=case, reviewer=by)
        _confirm_claims(review, review.bits or recomputed, bank)

    return _close_case(case, ReviewState.CONFIRMED, _only_if_shown(shown, confirm), by, platform)


def release_case(
    case: str, platform: Platform, by: str = OPERATOR_NAME, shown: ShownClaims = None
) -> Review:
    """Accept the upload because it shows something else; similar ones are not reviewed again.

    Claims are disputed if the upload practically is the picture or video that they registered;
    three disputes suspend a waiting claim. Claims that it matches in another way are not disputed,
    and a confirmed claim stays confirmed. The hash of a refused upload was not stored, so it is
    computed again from the file that came with an appeal. Without that file, or for a clip, only
    this exact file is accepted from now on. So it is for an animated picture, of which only one
    picture was compared; and no claim is disputed. One person is sufficient.

    Returns:
        The review with its new state.

    Raises:
        NoSuchReview, AlreadyDecided, BankUnreachable: nothing is changed.
        UnshownMatches: the upload matches a claim that is not among ``shown``, or a newer claim
            that was not named in the case. The newer claim is now named there; nothing else is
            changed.
    """
    recomputed = _recompute_hash(case, platform)
    _require_newer_claims_shown(case, recomputed, platform)
    moves = _is_animated(case, platform)

    def dispute_and_release(review: Review, bank: BankStore) -> None:
        facts = bank.claim_facts({match.claim for match in review.decision.matches})
        kinds = {one: fact.claim.kind for one, fact in facts.items()}
        live = [
            one
            for one in _matches_outside_shadow(review, bank)
            if one.claim in kinds and not one.part and not moves
        ]
        _dispute_and_suspend_claims([one.claim for one in live if _is_unchanged(one, kinds)], bank)
        bits = review.bits or recomputed
        if bits is not None and review.decision.matches and not moves:
            bank.register(_registration_of_released_hash(bits, platform))
        elif review.upload_sha256 is not None and not review.decision.matches:
            # The upload could not be decoded or compared, so release these bytes without reference
            # to a claim.
            bank.release_file(unreadable_release_key(review.upload_sha256), review.at)
        elif review.upload_sha256 is not None:
            # Release this exact file (section 11, 11.5) with reference to the claims that the
            # reviewer saw.
            newest = max((fact.claim.made_at for fact in facts.values()), default=review.at)
            bank.release_file(review.upload_sha256, newest)

    effect = _only_if_shown(shown, dispute_and_release)
    return _close_case(case, ReviewState.RELEASED, effect, by, platform, similar=not moves)


def _is_animated(case: str, platform: Platform) -> bool:
    """Return whether the reviewer may have seen other pictures than the one that was hashed."""
    try:
        return is_animated(platform.reviews.upload_bytes(case))
    except UploadNotKept:
        return False


def _close_case(  # noqa: PLR0913 - what is decided, by whom and about what else
    case: str,
    state: ReviewState,
    effect: _DecisionEffect,
    by: str,
    platform: Platform,
    *,
    similar: bool = True,
) -> Review:
    keeps = platform.limits.look_back_days > 0
    review = platform.reviews.decide_case(case, state, effect, by, keeps=keeps, similar=similar)
    return replace(review, state=state, first_confirmer="", has_bytes=False)


def _only_if_shown(shown: ShownClaims, effect: _DecisionEffect) -> _DecisionEffect:
    def check_and_apply(review: Review, bank: BankStore) -> None:
        _require_shown(review, shown)
        effect(review, bank)

    return check_and_apply


def _require_shown(review: Review, shown: ShownClaims) -> None:
    if shown is not None and not {match.claim for match in review.decision.matches} <= set(shown):
        raise UnshownMatches(case=review.case)


def _recompute_hash(case: str, platform: Platform) -> bytes | None:
    """Compute the hash of a picture of which only the bytes were stored; return None for others."""
    review = platform.reviews.review(case)
    if review.bits is not None or not review.has_bytes:
        return None
    try:
        upload = platform.reviews.upload_bytes(case)
        if media_kind_of(upload) is MediaKind.PICTURE:
            return first_scan(upload, platform)[1].bits
    except (*UNREADABLE_ERRORS, NotAPicture, TooManyPixels, UploadNotKept):
        pass  # the upload was held as unreadable, or another reviewer decided first
    return None


def _require_newer_claims_shown(case: str, recomputed: bytes | None, platform: Platform) -> None:
    """If newer claims match the upload, add their matches to the case and raise UnshownMatches.

    A release applies to all earlier claims, so the reviewer has to see them first. The look-back
    for a new claim, which would have added it to the case, may still be due. A refused upload is
    found by no look-back, since its hash is not stored.
    """
    review = platform.reviews.review(case)
    bits = review.bits or recomputed
    if bits is None or review.state is not ReviewState.WAITING:
        return
    known = {match.claim for match in review.decision.matches}
    found = find_numbered_hits(orientation_and_inversion_hashes(bits), platform, part=False)
    banks = {bank.name: bank for bank in platform.bank.banks()}
    releases = [release_from_hit(*hit) for _, hit in found if hit[0].bank == RELEASED_BANK]
    if review.upload_sha256 is not None:
        releases += releases_of_file(review.upload_sha256, platform)
    new = [
        (entry, (match, claim))
        for entry, (match, claim) in found
        if claim.id not in known
        and not is_overruled_by_release(
            policy_outcome(claim, banks[claim.bank]), match, claim, releases
        )
    ]
    if (shown := matches_to_review(new, banks)) is not None:
        platform.reviews.hold_retroactively(
            RetroactiveMatches(case, *shown), platform.limits.held_per_hash
        )
        raise UnshownMatches(case=case)


def _confirm_claims(review: Review, bits: bytes | None, bank: BankStore) -> None:
    # Skip claims that were withdrawn or suspended while the upload waited, since those decisions
    # stand.
    facts = bank.claim_facts({match.claim for match in review.decision.matches})
    matching = {one for one, fact in facts.items() if fact.claim.state in MATCHING_STATES}
    live = [match for match in _matches_outside_shadow(review, bank) if match.claim in matching]
    # The reviewer has seen only this upload, so only claims that registered this upload are
    # confirmed.
    kinds = {one: fact.claim.kind for one, fact in facts.items()}
    bank.apply_event_to_all(
        ClaimEvent.CONFIRM, *(one.claim for one in live if _is_unchanged(one, kinds))
    )
    if bits is not None:
        larger = {match.claim for match in live if IN_LARGER_PICTURE_EDIT in match.how}
        bank.add_upload_hashes({one.claim for one in live} - larger, bits, confirmed=True)
        bank.add_upload_hashes(larger, bits, confirmed=False)


def _is_unchanged(match: Match, kinds: Mapping[ClaimId, str]) -> bool:
    """Return whether the upload is what the claim registered, practically unchanged.

    A picture at a larger distance may show something else. A match of a whole video counts at any
    distance, since the order of its frames matched too. A match of a registered sound always
    counts, since uploads are at most held, never refused, for their sound.
    """
    if kinds[match.claim] == SOUND_KIND:
        return True
    near = kinds[match.claim] == VIDEO_KIND or match.distance <= _UNCHANGED_BITS_MAX
    return near and not (match.part or match.added)


def _matches_outside_shadow(review: Review, bank: BankStore) -> list[Match]:
    """Return the matches that the reviewer was asked about: those of banks not in shadow mode."""
    shadows = {one.name for one in bank.banks() if one.shadow}
    return [match for match in review.decision.matches if match.bank not in shadows]


def _dispute_and_suspend_claims(claims: Sequence[ClaimId], bank: BankStore) -> None:
    """Dispute claims, and suspend those with enough disputes.

    All are written at once, since one hash may have thousands of claims, and uploads have to wait
    for this.
    """
    disputed = bank.dispute(*claims)
    waiting = [one for one in disputed if one.state is ClaimState.WAITING]
    suspended = [one.id for one in waiting if one.disputes >= DISPUTES_TO_SUSPEND]
    bank.apply_event_to_all(ClaimEvent.SUSPEND, *suspended)


def _registration_of_released_hash(bits: bytes, platform: Platform) -> Registration:
    """Return an entry of the bank "released" for the hash of a released upload."""
    claim = Claim(
        id=new_claim_id(platform),
        bank=RELEASED_BANK,
        state=ClaimState.CONFIRMED,
        kind="pdq",
        quality=100,
        made_at=platform.clock.now(),
    )
    return Registration(claim, (bits,))


ALERT_PROGRAM_TIMEOUT_S: Final = 30.0


def run_alert_program(
    command: Sequence[str], alert: Alert, wait_s: float = ALERT_PROGRAM_TIMEOUT_S
) -> None:
    """Run the alert program, without a shell, with the alert's kind and count as last arguments.

    The program gets no information about a case. Its output is discarded, since it may contain the
    program's own secrets.

    Raises:
        AlertProgramFailed: the program cannot be started, exits with a status other than 0, or
            takes too long.
    """
    arguments = [*command, alert.kind.value, str(alert.count)]
    null = subprocess.DEVNULL
    try:
        done = subprocess.run(  # noqa: S603 -- the operator's command, from the operator's file
            arguments, stdin=null, stdout=null, stderr=null, timeout=wait_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise AlertProgramFailed(
            kind=alert.kind, why=f"takes longer than {wait_s:g} seconds"
        ) from None
    except (OSError, ValueError, subprocess.SubprocessError):
        raise AlertProgramFailed(kind=alert.kind, why="cannot be started") from None
    if done.returncode != 0:
        raise AlertProgramFailed(kind=alert.kind, why="reported that it failed")


def send_due_alerts(platform: Platform) -> tuple[AlertProgramFailed, ...]:
    """Run the alert program for each alert that is due; return the failures.

    Raises BankUnreachable.
    """
    if platform.send_alert is None:
        return ()
    failed = []
    before = platform.clock.now() - timedelta(hours=platform.limits.page_after_hours)
    for alert in platform.reviews.take_due_alerts(before, platform.limits.held_per_hash):
        try:
            platform.send_alert(alert)
        except AlertProgramFailed as why:
            failed.append(why)
        else:
            platform.reviews.record_alert_sent(alert)
    return tuple(failed)
