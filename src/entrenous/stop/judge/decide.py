"""Judge an upload: let it through, quarantine it for a person, or refuse it (docs/spec/gate.md, 5).

An uploader whose upload was refused may appeal once; a file that a reviewer released is let
through by its SHA-256 from then on.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from entrenous.base.audio_video import (
    ClipBroken,
    ClipCutShort,
    ClipTooLong,
    FramesUnknown,
    SoundBroken,
    SoundTooLong,
)
from entrenous.base.identifiers import BankName
from entrenous.base.picture import CutShort, DecoderGaveUp, Medium, Picture
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Match, Near, SoundPrint
from entrenous.media.file_kind import medium_of
from entrenous.stop.judge.clip_matches import Place
from entrenous.stop.judge.scan import Seen, Views, first_scan, second_scan
from entrenous.stop.judge.weigh import (
    Hit,
    asked_about,
    best_entry,
    best_of_each,
    decision_of,
    how_found,
    in_shadow,
)
from entrenous.stop.nouns import Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim
from entrenous.stop.upload_record import (
    Appeal,
    Decision,
    Found,
    LateFind,
    Outcome,
    Publishes,
    Release,
    Review,
    ReviewState,
)

_UNREAD: Final = b"entrenous/1 released unread\x00"


def file_releases(sha256: bytes, platform: Platform) -> tuple[Release, ...]:
    """That a reviewer let the very file with this hash through, if one did. Asked of every upload,
    whatever it fits, so that an answer takes as long held as let through.
    """
    released = platform.bank.file_released(sha256)
    return () if released is None else (released,)


def unread_key(sha256: bytes) -> bytes:
    """Under this a release of a file that could not be read is kept. It is not the file's own hash:
    nobody compared it with a claim, so it says nothing of claims once the file can be read.
    """
    return hashlib.sha256(_UNREAD + sha256).digest()


def unread_outcome(sha256: bytes, platform: Platform) -> Outcome:
    """Of a file that cannot be read: held, unless a reviewer let exactly these bytes through."""
    released = platform.bank.file_released(unread_key(sha256))
    return Outcome.HOLD if released is None else Outcome.LET_THROUGH


CASE_BYTES: Final = 6
SECRET_BYTES: Final = 16  # what opens an appeal
UNREAD: Final = (
    *(CutShort, DecoderGaveUp),
    *(ClipBroken, ClipCutShort, ClipTooLong, FramesUnknown),
    *(SoundBroken, SoundTooLong),
)
_Spot = tuple[Near, str, bool]  # a registered hash, how the view near it was made, and if of a part


@dataclass(frozen=True, slots=True)
class _Upload:
    """What came, the platform's own name of it, its hash, which is asked for twice, and what the
    platform publishes all the same.
    """

    untrusted_data: bytes
    reference: str
    sha256: bytes
    publishes: Publishes


@dataclass(frozen=True, slots=True)
class _Kept:
    """What may be kept of it: its hash, or those of its frames and how it sounds; the hash that a
    flood is counted by.
    """

    bits: bytes | None = None
    entry: int | None = None
    frames: tuple[bytes, ...] = ()
    sound: SoundPrint | None = None


_NOTHING: Final = _Kept()


def judge_upload(
    untrusted_data: bytes,
    platform: Platform,
    reference: str = "",
    publishes: Publishes = Publishes.NOTHING,
) -> Decision:
    """Decode what a stranger sent, compare it with the banks, and keep the decision.

    ``reference`` is the platform's own name of the upload. What the platform ``publishes`` although
    it should be held or refused is listed as published. A gate in shadow lets everything through,
    and lists it too.

    Raises:
        NotAPicture, NotASound, TooManyPixels, FramesTooLarge: there is nothing to judge; refuse the
            upload as such.
        BankUnreachable: no decision could be made; publish nothing.
    """
    decision = decide_upload(untrusted_data, platform, reference, publishes)
    keep_held(decision, untrusted_data, platform)
    return decision


def decide_upload(
    untrusted_data: bytes,
    platform: Platform,
    reference: str = "",
    publishes: Publishes = Publishes.NOTHING,
) -> Decision:
    """:func:`judge_upload` as far as the answer: what is done takes as long held as let through."""
    publishes = Publishes.ALL if platform.limits.shadow else publishes
    sha256 = hashlib.sha256(untrusted_data).digest()
    upload = _Upload(untrusted_data, reference, sha256, publishes)
    try:
        if medium_of(untrusted_data) is not Medium.PICTURE:
            return _decide_clip(upload, platform)
        picture, seen = first_scan(untrusted_data, platform)
    except UNREAD:
        outcome = unread_outcome(upload.sha256, platform)
        unread = Decision(outcome, new_case(platform), secret=_new_secret(platform))
        return _record(unread, upload, platform)
    return _decide(picture, seen, upload, platform)


def keep_held(decision: Decision, untrusted_data: bytes, platform: Platform) -> None:
    """Keep the bytes of an upload that waits for the reviewer, and gather a flood of them; those of
    one that was published for the slow look, if there is room.
    """
    limits, case = platform.limits, decision.case
    if _waits(decision):
        platform.reviews.keep(case, untrusted_data, limits.held_per_hash)
    if _is_public(decision) and limits.slow_looks > 0:
        platform.reviews.keep_for_slow_look(case, untrusted_data, limits.slow_looks)


def is_kept(decision: Decision, platform: Platform) -> bool:
    """Whether :func:`keep_held` has anything to do."""
    return _waits(decision) or (_is_public(decision) and platform.limits.slow_looks > 0)


def _waits(decision: Decision) -> bool:
    return decision.outcome is Outcome.HOLD or decision.listed


def _is_public(decision: Decision) -> bool:
    return decision.outcome is Outcome.LET_THROUGH or decision.listed


def _decide(picture: Picture, seen: Views, upload: _Upload, platform: Platform) -> Decision:
    second = partial(_second_look, upload.untrusted_data, picture, seen, platform)
    whole = _near(seen.whole, platform, part=False)
    cut = second()
    found, banks = _fits([*whole, *_near(cut, platform, part=True)], platform)
    hits = [hit for _, hit in found]
    judged = decision_of(hits, banks, file_releases(upload.sha256, platform))
    decided = replace(judged, case=new_case(platform), secret=_new_secret(platform))
    decision = _record(decided, upload, platform, _Kept(seen.bits, best_entry(found)))
    again = _near(seen.whole, platform, part=False)
    if not cut:  # the first parts may have come while this was judged
        again += _near(second(), platform, part=True)
    _look_again(decision, again, {near.entry for near, _, _ in whole}, platform)
    return decision


def _second_look(untrusted_data: bytes, picture: Picture, seen: Views, platform: Platform) -> Seen:
    """Nothing where it cannot be read once more, for the whole picture has been looked at; parts
    that came meanwhile are looked for by the slow look.
    """
    try:
        return second_scan(untrusted_data, picture, seen, platform)
    except UNREAD:
        return ()


def _decide_clip(upload: _Upload, platform: Platform) -> Decision:
    """The claims are asked when it is decoded, so that one made meanwhile counts."""
    # Who judges pictures does not wait for the libraries of clips and sounds to load.
    from entrenous.stop.judge.clips import (  # noqa: PLC0415
        claims_near,
        clip_matches,
        frames_kept,
        scan_clip,
        sound_kept,
    )

    seen = scan_clip(upload.untrusted_data, platform)
    frames, sound = frames_kept(seen), sound_kept(seen)
    known, newest = claims_near(frames, platform), platform.sounds.newest()
    found, banks = clip_matches(seen, platform)
    hits = [hit for _, hit in found]
    judged = decision_of(hits, banks, file_releases(upload.sha256, platform))
    decided = replace(judged, case=new_case(platform), secret=_new_secret(platform))
    kept = _Kept(entry=best_entry(found), frames=frames, sound=sound)
    decision = _record(decided, upload, platform, kept)
    if claims_near(frames, platform) - known or platform.sounds.newest() != newest:
        found, banks = clip_matches(seen, platform)
        hits = [hit for _, hit in found]
        released = file_releases(upload.sha256, platform)
        if decision_of(hits, banks, released).outcome is not Outcome.LET_THROUGH:
            _hold_after_all(decision, found, banks, platform)
    return decision


def _look_again(
    decision: Decision, spots: list[_Spot], known: set[int], platform: Platform
) -> None:
    """Look back at this upload for a claim that was made while it was judged: the claim's own look
    back came before this upload was recorded, and this upload's look before the claim.

    The index was asked whatever was decided, so that an answer takes as long held as let through.
    """
    news = [spot for spot in spots if spot[0].entry not in known]
    if not news or not _is_public(decision):
        return
    _hold_after_all(decision, *_fits(news, platform), platform)


def _hold_after_all(
    decision: Decision,
    found: list[tuple[int, Hit]],
    banks: dict[BankName, Bank],
    platform: Platform,
) -> None:
    if not _is_public(decision):
        return
    asked = asked_about(found, banks)
    matches = tuple(match for match, _ in best_of_each(hit for _, hit in asked))
    if matches and (entry := best_entry(asked)) is not None:
        limit = platform.limits.held_per_hash
        platform.reviews.hold_late(LateFind(decision.case, matches, entry), limit)


def find(views_of_upload: Seen, platform: Platform, *, part: bool) -> Iterator[Hit]:
    """Every claim that matches one of these views within its bank's radius, with its distance."""
    return (hit for _, hit in find_at(views_of_upload, platform, part=part))


def find_at(views_of_upload: Seen, platform: Platform, *, part: bool) -> list[tuple[int, Hit]]:
    """The same, each with the number of the registered hash."""
    spots = _near(views_of_upload, platform, part=part)
    return _fits(spots, platform)[0] if spots else []


def _near(views_of_upload: Seen, platform: Platform, *, part: bool) -> list[_Spot]:
    if not views_of_upload:
        return []
    near = platform.index.near([bits for _, bits in views_of_upload], part=part)
    return [(one, views_of_upload[one.query][0], part) for one in near]


def _fits(
    spots: list[_Spot], platform: Platform
) -> tuple[list[tuple[int, Hit]], dict[BankName, Bank]]:
    """Claims there within their bank's radius, with the number of the registered hash; the banks.

    These are read after the claims: so the bank of each claim is among them, however new it is.
    """
    places: dict[int, list[Place]] = {}
    for entry, claim, at_ms in platform.bank.places_on({near.entry for near, _, _ in spots}):
        places.setdefault(entry, []).append((claim, at_ms))
    banks = {bank.name: bank for bank in platform.bank.banks()}
    found = [
        (near.entry, (_match(near, how, claim, part=part or at_ms is not None), claim))
        for near, how, part in spots
        for claim, at_ms in places.get(near.entry, ())
        if near.distance <= banks[claim.bank].radius
    ]
    return found, banks


def _match(near: Near, how: str, claim: Claim, *, part: bool) -> Match:
    """A frame is a part of its video."""
    return Match(claim.bank, claim.id, near.distance, how_found(how, claim), part, claim.added)


def new_case(platform: Platform) -> str:
    """A case number that can be read out over a telephone, and not be guessed: "3f9a-70c2-b11e"."""
    digits = platform.dice.token(CASE_BYTES).hex()
    return "-".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def secret_hash(secret: Secret) -> bytes:
    """What the gate keeps of the secret that opens an appeal."""
    return hashlib.sha256(secret.reveal()).digest()


def _new_secret(platform: Platform) -> Secret:
    return Secret(platform.dice.token(SECRET_BYTES))


def _record(
    decision: Decision,
    upload: _Upload,
    platform: Platform,
    seen: _Kept = _NOTHING,
) -> Decision:
    """One row, whatever was decided: of a refused upload its SHA-256, for an appeal; of the others
    their hash too, for the reviewer and for looking back, which may end in a refusal; of a clip
    those of its frames, and how it sounds. What is published all the same waits for a person.

    Returns: the decision as it is answered.
    """
    answered = in_shadow(decision) if platform.limits.shadow else decision
    answered = replace(answered, listed=_is_listed(decision, upload.publishes))
    waits = _waits(answered)
    refused = answered.outcome is Outcome.REFUSE and not waits
    is_picture = seen.bits is not None
    may_fit = is_picture or bool(seen.frames) or seen.sound is not None
    looks_back = may_fit and not refused and platform.limits.look_back_days > 0
    slowly = is_picture and _is_public(answered) and platform.limits.slow_looks > 0
    review = Review(
        decision=replace(answered, outcome=Outcome.HOLD) if waits else answered,
        at=platform.clock.now(),
        state=ReviewState.WAITING if waits else ReviewState.CLOSED,
        bits=seen.bits if waits or looks_back else None,
        entry=seen.entry if waits else None,
        reference=upload.reference if waits or refused or slowly or looks_back else "",
        found=Found.PUBLISHED if answered.listed else Found.UPLOAD,
        secret_sha256=secret_hash(decision.secret) if decision.secret else None,
        upload_sha256=upload.sha256 if waits or refused or looks_back else None,
        slow_look_due=slowly,
        frames=seen.frames if looks_back else (),
        sound=seen.sound if looks_back else None,
    )
    platform.reviews.record(review, None)
    return answered


def _is_listed(decision: Decision, publishes: Publishes) -> bool:
    """Whether it is published although it should not be. What could not be read fits nothing, and
    is published by nobody who is not in shadow.
    """
    if publishes is Publishes.HELD:
        return decision.outcome is Outcome.HOLD and bool(decision.matches)
    return publishes is Publishes.ALL and decision.outcome is not Outcome.LET_THROUGH


def appeal(case: str, secret: Secret, untrusted_upload: bytes | None, platform: Platform) -> None:
    """Put the case before a reviewer again, with the file that the uploader sends again or without.

    What became of the upload is not said: also of a held and of an accepted one it is noted.

    Raises:
        NoSuchReview: no such case, or another secret.
        AlreadyAppealed: that was done.
        NotThatUpload: the file is another one.
    """
    sent = None if untrusted_upload is None else hashlib.sha256(untrusted_upload).digest()
    asked = Appeal(case, secret_hash(secret), platform.clock.now(), sent)
    platform.reviews.appeal(asked, untrusted_upload)
