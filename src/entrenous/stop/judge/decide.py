"""Judge an upload: let it through, quarantine it for review, or refuse it (docs/spec/gate.md, 5).

The uploader may appeal a refusal once. If a reviewer released a file, uploads of the same bytes
(by SHA-256) are accepted until a newer claim or confirmation matches.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from entrenous.base.audio_video import (
    ClipTooLong,
    DamagedClip,
    DamagedSound,
    IncompleteClip,
    SoundTooLong,
    UnsupportedVideoCodec,
)
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.picture import IncompletePicture, MediaKind, Picture, PictureDecodingFailed
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Match, NearHash, SoundPrint
from entrenous.media.file_kind import media_kind_of
from entrenous.stop.judge.clips import ClaimWithFrameTime
from entrenous.stop.judge.scan import FirstScanHashes, HashViews, first_scan, second_scan
from entrenous.stop.judge.weigh import (
    Hit,
    as_shadow_decision,
    decision_of,
    entry_to_count_floods_by,
    matches_to_review,
    with_larger_picture_note,
)
from entrenous.stop.nouns import Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim
from entrenous.stop.upload_record import (
    Appeal,
    Decision,
    FoundBy,
    Outcome,
    PublishedAnyway,
    Release,
    RetroactiveMatches,
    Review,
    ReviewState,
)

_UNREADABLE_RELEASE_CONTEXT: Final = b"entrenous/1 released unread\x00"


def releases_of_file(sha256: bytes, platform: Platform) -> tuple[Release, ...]:
    """Return the newest release of the file with this SHA-256, if any.

    Every upload is looked up, so that held and accepted uploads take the same time.
    """
    released = platform.bank.release_of_file(sha256)
    return () if released is None else (released,)


def unreadable_release_key(sha256: bytes) -> bytes:
    """Return the key under which the release of an unreadable file is stored.

    It differs from the file's SHA-256, because the file was not compared with any claim. Once the
    file can be decoded, it must be compared with the claims despite this release.
    """
    return hashlib.sha256(_UNREADABLE_RELEASE_CONTEXT + sha256).digest()


def outcome_for_unreadable(sha256: bytes, platform: Platform) -> Outcome:
    """Return the outcome for an unreadable file: hold, unless a reviewer released these bytes."""
    released = platform.bank.release_of_file(unreadable_release_key(sha256))
    return Outcome.HOLD if released is None else Outcome.LET_THROUGH


CASE_NUMBER_BYTES: Final = 6
APPEAL_SECRET_BYTES: Final = 16  # length of the secret that an uploader needs to appeal
UNREADABLE_ERRORS: Final = (
    *(IncompletePicture, PictureDecodingFailed),
    *(DamagedClip, IncompleteClip, ClipTooLong, UnsupportedVideoCodec),
    *(DamagedSound, SoundTooLong),
)
# A registered hash near a view of the upload, the edits made to get that view, and whether the view
# shows only a part of the upload.
_NearView = tuple[NearHash, str, bool]
# The number of a registered hash, a claim on it, and the number of the change that confirmed it.
_ClaimOnHash = tuple[int, ClaimId, int]


@dataclass(frozen=True, slots=True)
class _UploadInput:
    untrusted_data: bytes
    reference: str
    sha256: bytes
    publishes: PublishedAnyway


@dataclass(frozen=True, slots=True)
class _StorableData:
    """The data of an upload that may be stored: its hash, or the hashes of its frames and the
    fingerprint of its sound.

    ``entry`` is the number of the registered hash that the upload matches best. It is used to count
    floods (many uploads that match one registered hash).
    """

    bits: bytes | None = None
    entry: int | None = None
    frames: tuple[bytes, ...] = ()
    sound: SoundPrint | None = None


_NO_STORABLE_DATA: Final = _StorableData()


def decide_upload(
    untrusted_data: bytes,
    platform: Platform,
    reference: str = "",
    publishes: PublishedAnyway = PublishedAnyway.NOTHING,
) -> Decision:
    """Decode an upload, compare it with the banks, and store the decision before returning it.

    The decision takes the same time whatever the outcome. ``reference`` is the platform's name for
    the upload. Uploads that should be held or refused, but that the platform ``publishes``, are
    listed as published. A gate in shadow mode accepts everything. Uploads that it would have
    held or refused are listed as published, too.

    Raises:
        NotAPicture, NoSoundFound, TooManyPixels, FramesTooLarge: the upload cannot be judged;
            refuse it for this reason.
        BankUnreachable: no decision could be made; publish nothing.
    """
    publishes = PublishedAnyway.ALL if platform.limits.shadow else publishes
    sha256 = hashlib.sha256(untrusted_data).digest()
    upload = _UploadInput(untrusted_data, reference, sha256, publishes)
    try:
        if media_kind_of(untrusted_data) is not MediaKind.PICTURE:
            return _decide_clip(upload, platform)
        picture, first_views = first_scan(untrusted_data, platform)
    except UNREADABLE_ERRORS:
        outcome = outcome_for_unreadable(upload.sha256, platform)
        unread = Decision(outcome, new_case_number(platform), secret=_new_appeal_secret(platform))
        return _store_decision(unread, upload, platform)
    return _decide_picture(picture, first_views, upload, platform)


def store_upload_bytes_if_needed(
    decision: Decision, untrusted_data: bytes, platform: Platform
) -> None:
    """Store the bytes of an upload, if there is room, for the reviewer or for the deferred scan.

    Many waiting uploads that match one registered hash (a flood) become one item of the review
    queue.
    """
    limits, case = platform.limits, decision.case
    if _waits_for_review(decision):
        platform.reviews.store_review_bytes(case, untrusted_data, limits.held_per_hash)
    if _is_published(decision) and limits.slow_looks > 0:
        platform.reviews.store_for_deferred_scan(case, untrusted_data, limits.slow_looks)


def needs_upload_bytes(decision: Decision, platform: Platform) -> bool:
    """Return whether :func:`store_upload_bytes_if_needed` has anything to do."""
    return _waits_for_review(decision) or (
        _is_published(decision) and platform.limits.slow_looks > 0
    )


def _waits_for_review(decision: Decision) -> bool:
    return decision.outcome is Outcome.HOLD or decision.listed


def _is_published(decision: Decision) -> bool:
    return decision.outcome is Outcome.LET_THROUGH or decision.listed


def _decide_picture(
    picture: Picture, first_views: FirstScanHashes, upload: _UploadInput, platform: Platform
) -> Decision:
    second = partial(_second_scan, upload.untrusted_data, picture, first_views, platform)
    whole = _find_near_views(first_views.whole, platform, part=False)
    parts = second()
    found, banks = _hits_within_radius_and_banks(
        [*whole, *_find_near_views(parts, platform, part=True)], platform
    )
    decided = _make_decision(found, banks, upload, platform)
    decision = _store_decision(
        decided, upload, platform, _StorableData(first_views.bits, entry_to_count_floods_by(found))
    )
    again = _find_near_views(first_views.whole, platform, part=False)
    if not parts:  # part hashes may have been registered since this upload was scanned
        again += _find_near_views(second(), platform, part=True)
    _hold_for_newer_claims(decision, again, _claims_on_hashes(found), platform)
    return decision


def _second_scan(
    untrusted_data: bytes, picture: Picture, first_views: FirstScanHashes, platform: Platform
) -> HashViews:
    """Scan for parts; return nothing if the upload cannot be decoded again.

    Returning nothing is acceptable, since the whole picture was scanned already and the deferred
    scan looks for parts too.
    """
    try:
        return second_scan(untrusted_data, picture, first_views, platform)
    except UNREADABLE_ERRORS:
        return ()


def _decide_clip(upload: _UploadInput, platform: Platform) -> Decision:
    """Decide on a clip; claims are queried after decoding, so that claims made meanwhile count."""
    # Imported here: judging pictures need not load the libraries for clips and sounds.
    from entrenous.stop.judge.clips import (  # noqa: PLC0415
        claims_near_frames,
        find_clip_hits_and_banks,
        frame_hashes_to_store,
        scan_clip,
        sound_print_to_store,
    )

    clip = scan_clip(upload.untrusted_data, platform)
    frames, sound = frame_hashes_to_store(clip), sound_print_to_store(clip)
    known, newest = claims_near_frames(frames, platform), platform.sounds.newest_sound_number()
    found, banks = find_clip_hits_and_banks(clip, platform)
    decided = _make_decision(found, banks, upload, platform)
    kept = _StorableData(entry=entry_to_count_floods_by(found), frames=frames, sound=sound)
    decision = _store_decision(decided, upload, platform, kept)
    if (
        claims_near_frames(frames, platform) - known
        or platform.sounds.newest_sound_number() != newest
    ):
        found, banks = find_clip_hits_and_banks(clip, platform)
        if _weigh_hits(found, banks, upload, platform).outcome is not Outcome.LET_THROUGH:
            _hold_retroactively_if_published(decision, found, banks, platform)
    return decision


def _make_decision(
    found: list[tuple[int, Hit]],
    banks: dict[BankName, Bank],
    upload: _UploadInput,
    platform: Platform,
) -> Decision:
    weighed = _weigh_hits(found, banks, upload, platform)
    return replace(weighed, case=new_case_number(platform), secret=_new_appeal_secret(platform))


def _weigh_hits(
    found: list[tuple[int, Hit]],
    banks: dict[BankName, Bank],
    upload: _UploadInput,
    platform: Platform,
) -> Decision:
    hits = [hit for _, hit in found]
    return decision_of(hits, banks, releases_of_file(upload.sha256, platform))


def _hold_for_newer_claims(
    decision: Decision, near_views: list[_NearView], known: set[_ClaimOnHash], platform: Platform
) -> None:
    """Hold an accepted upload for a claim that was made or confirmed while the upload was judged.

    Two searches may both have missed that claim: the scan of the upload, and the look-back (the
    search of stored uploads that a new claim starts). The claim's hash may have been registered
    before. Index and store are searched whatever the outcome, so that all answers take the same
    time.
    """
    found, banks = _hits_within_radius_and_banks(near_views, platform)
    new = [one for one in found if _claims_on_hashes([one]) - known]
    if new:
        _hold_retroactively_if_published(decision, new, banks, platform)


def _claims_on_hashes(found: list[tuple[int, Hit]]) -> set[_ClaimOnHash]:
    return {(entry, claim.id, claim.confirmed) for entry, (_, claim) in found}


def _hold_retroactively_if_published(
    decision: Decision,
    found: list[tuple[int, Hit]],
    banks: dict[BankName, Bank],
    platform: Platform,
) -> None:
    if _is_published(decision) and (shown := matches_to_review(found, banks)) is not None:
        retroactive_matches = RetroactiveMatches(decision.case, *shown)
        platform.reviews.hold_retroactively(retroactive_matches, platform.limits.held_per_hash)


def find_hits(views_of_upload: HashViews, platform: Platform, *, part: bool) -> Iterator[Hit]:
    """Yield every match of a claim with one of these views, within its bank's radius."""
    return (hit for _, hit in find_numbered_hits(views_of_upload, platform, part=part))


def find_numbered_hits(
    views_of_upload: HashViews, platform: Platform, *, part: bool
) -> list[tuple[int, Hit]]:
    """Return the matches of an upload, each with the number of the registered hash."""
    near_views = _find_near_views(views_of_upload, platform, part=part)
    return _hits_within_radius_and_banks(near_views, platform)[0] if near_views else []


def _find_near_views(
    views_of_upload: HashViews, platform: Platform, *, part: bool
) -> list[_NearView]:
    if not views_of_upload:
        return []
    near = platform.index.find_near_hashes([bits for _, bits in views_of_upload], part=part)
    return [(one, views_of_upload[one.query][0], part) for one in near]


def _hits_within_radius_and_banks(
    near_views: list[_NearView], platform: Platform
) -> tuple[list[tuple[int, Hit]], dict[BankName, Bank]]:
    """Return the matches within each bank's radius, each with the number of its registered hash.
    Return all banks, by name, as the second value.

    Banks are read after the claims, so that the newest claim's bank is included.
    """
    places: dict[int, list[ClaimWithFrameTime]] = {}
    for entry, claim, at_ms in platform.bank.claims_on_pictures_and_frames(
        {near.entry for near, _, _ in near_views}
    ):
        places.setdefault(entry, []).append((claim, at_ms))
    banks = {bank.name: bank for bank in platform.bank.banks()}
    found = [
        # A frame is a part of its video.
        (near.entry, (_make_match(near, how, claim, part=part or at_ms is not None), claim))
        for near, how, part in near_views
        for claim, at_ms in places.get(near.entry, ())
        if near.distance <= banks[claim.bank].radius
    ]
    return found, banks


def _make_match(near: NearHash, how: str, claim: Claim, *, part: bool) -> Match:
    return Match(
        claim.bank, claim.id, near.distance, with_larger_picture_note(how, claim), part, claim.added
    )


def new_case_number(platform: Platform) -> str:
    """Make a case number that can be read aloud but cannot be guessed, such as "3f9a-70c2-b11e"."""
    digits = platform.random_source.token(CASE_NUMBER_BYTES).hex()
    return "-".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def hash_appeal_secret(secret: Secret) -> bytes:
    """Return the SHA-256 of the secret for an appeal; the gate stores only this."""
    return hashlib.sha256(secret.reveal()).digest()


def _new_appeal_secret(platform: Platform) -> Secret:
    return Secret(platform.random_source.token(APPEAL_SECRET_BYTES))


def _store_decision(
    decision: Decision,
    upload: _UploadInput,
    platform: Platform,
    storable: _StorableData = _NO_STORABLE_DATA,
) -> Decision:
    """Store the decision in one row, and return it.

    A refused upload is stored with its SHA-256, for an appeal. A picture that waits for review, or
    that look-backs (searches of stored uploads for newer claims) may find, is stored with its
    perceptual hash too. For look-backs, clips and sounds are stored with the hashes of their frames
    and the fingerprint of their sound. Uploads that are published against the decision wait for
    review.
    """
    answered = as_shadow_decision(decision) if platform.limits.shadow else decision
    answered = replace(answered, listed=_is_published_against_decision(decision, upload.publishes))
    waits = _waits_for_review(answered)
    refused = answered.outcome is Outcome.REFUSE and not waits
    is_picture = storable.bits is not None
    may_fit = is_picture or bool(storable.frames) or storable.sound is not None
    looks_back = may_fit and not refused and platform.limits.look_back_days > 0
    slowly = is_picture and _is_published(answered) and platform.limits.slow_looks > 0
    review = Review(
        decision=replace(answered, outcome=Outcome.HOLD) if waits else answered,
        at=platform.clock.now(),
        state=ReviewState.WAITING if waits else ReviewState.CLOSED,
        bits=storable.bits if waits or looks_back else None,
        entry=storable.entry if waits else None,
        reference=upload.reference if waits or refused or slowly or looks_back else "",
        found=FoundBy.PUBLISHED if answered.listed else FoundBy.UPLOAD,
        secret_sha256=hash_appeal_secret(decision.secret) if decision.secret else None,
        upload_sha256=upload.sha256 if waits or refused or looks_back else None,
        slow_look_due=slowly,
        frames=storable.frames if looks_back else (),
        sound=storable.sound if looks_back else None,
    )
    platform.reviews.record_upload(review, None)
    return answered


def _is_published_against_decision(decision: Decision, publishes: PublishedAnyway) -> bool:
    """Return whether the platform publishes the upload against the decision.

    An unreadable upload matches no claim, so it is published only if the platform publishes
    everything.
    """
    if publishes is PublishedAnyway.HELD:
        return decision.outcome is Outcome.HOLD and bool(decision.matches)
    return publishes is PublishedAnyway.ALL and decision.outcome is not Outcome.LET_THROUGH


def submit_appeal(
    case: str, secret: Secret, untrusted_upload: bytes | None, platform: Platform
) -> None:
    """Appeal: put the case before a reviewer, with the file if the uploader sends it again.

    Appeals are possible for held and accepted uploads too, so that the answer does not reveal the
    decision.

    Raises:
        NoSuchReview: there is no such case, or the secret is wrong.
        AlreadyAppealed: there was an appeal already.
        UploadFileDiffers: this is a different file.
    """
    sent = None if untrusted_upload is None else hashlib.sha256(untrusted_upload).digest()
    asked = Appeal(case, hash_appeal_secret(secret), platform.clock.now(), sent)
    platform.reviews.record_appeal(asked, untrusted_upload)
