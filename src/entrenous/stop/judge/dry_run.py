"""What would become of an upload, without keeping it: for whoever sets up a gate."""

import hashlib

from entrenous.base.picture import Medium
from entrenous.media.file_kind import medium_of
from entrenous.stop.judge.decide import UNREAD, file_releases, find, unread_outcome
from entrenous.stop.judge.deferred_scan import deep_matches
from entrenous.stop.judge.scan import first_scan, second_scan
from entrenous.stop.judge.weigh import decision_of, in_shadow
from entrenous.stop.platform import Platform
from entrenous.stop.upload_record import Decision


def judge_dry(untrusted_data: bytes, platform: Platform, *, deep: bool = False) -> Decision:
    """The decision that :func:`.gate.judge_upload` would take; its case number is empty.

    ``deep`` adds the slow look (:mod:`.deep`) at a picture, whose hits only call for holding.

    Raises:
        NotAPicture, NotASound, TooManyPixels, FramesTooLarge: there is nothing to judge.
        BankUnreachable: no decision could be made.
    """
    decision = _judged(untrusted_data, platform, deep=deep)
    return in_shadow(decision) if platform.limits.shadow else decision


def _judged(untrusted_data: bytes, platform: Platform, *, deep: bool) -> Decision:
    sha256 = hashlib.sha256(untrusted_data).digest()
    try:
        if medium_of(untrusted_data) is not Medium.PICTURE:
            return _clip(untrusted_data, platform)
        picture, seen = first_scan(untrusted_data, platform)
        found = [
            *find(seen.whole, platform, part=False),
            *find(second_scan(untrusted_data, picture, seen, platform), platform, part=True),
            *(deep_matches(platform.read_picture(untrusted_data), platform) if deep else ()),
        ]
    except UNREAD:
        return Decision(unread_outcome(sha256, platform), "")
    banks = {bank.name: bank for bank in platform.bank.banks()}
    return decision_of(found, banks, file_releases(sha256, platform))


def _clip(untrusted_data: bytes, platform: Platform) -> Decision:
    # Who tries a picture does not wait for the libraries of clips and sounds to load.
    from entrenous.stop.judge.clips import clip_matches, scan_clip  # noqa: PLC0415

    found, banks = clip_matches(scan_clip(untrusted_data, platform), platform)
    sha256 = hashlib.sha256(untrusted_data).digest()
    hits = [hit for _, hit in found]
    return decision_of(hits, banks, file_releases(sha256, platform))
