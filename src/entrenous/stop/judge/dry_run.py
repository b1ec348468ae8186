"""Judge an upload without storing anything, for setting up a gate."""

import hashlib

from entrenous.base.picture import MediaKind
from entrenous.media.file_kind import media_kind_of
from entrenous.stop.judge.decide import (
    UNREADABLE_ERRORS,
    find_hits,
    outcome_for_unreadable,
    releases_of_file,
)
from entrenous.stop.judge.deferred_scan import best_deferred_hits
from entrenous.stop.judge.scan import first_scan, second_scan
from entrenous.stop.judge.weigh import Hit, as_shadow_decision, decision_of
from entrenous.stop.platform import Platform
from entrenous.stop.upload_record import Decision


def dry_run(untrusted_data: bytes, platform: Platform, *, deep: bool = False) -> Decision:
    """Return the decision that ``decide_upload`` would make, with an empty case number.

    ``deep`` adds the deferred scan of a picture. A match that only that scan finds can hold the
    upload but not refuse it.

    Raises:
        NotAPicture, NoSoundFound, TooManyPixels, FramesTooLarge: the upload cannot be judged.
        BankUnreachable: no decision could be made.
    """
    sha256 = hashlib.sha256(untrusted_data).digest()
    try:
        if media_kind_of(untrusted_data) is MediaKind.PICTURE:
            hits = _find_picture_hits(untrusted_data, platform, deep=deep)
        else:
            hits = _find_clip_hits(untrusted_data, platform)
    except UNREADABLE_ERRORS:
        decision = Decision(outcome_for_unreadable(sha256, platform), "")
    else:
        banks = {bank.name: bank for bank in platform.bank.banks()}
        decision = decision_of(hits, banks, releases_of_file(sha256, platform))
    return as_shadow_decision(decision) if platform.limits.shadow else decision


def _find_picture_hits(untrusted_data: bytes, platform: Platform, *, deep: bool) -> list[Hit]:
    picture, seen = first_scan(untrusted_data, platform)
    return [
        *find_hits(seen.whole, platform, part=False),
        *find_hits(second_scan(untrusted_data, picture, seen, platform), platform, part=True),
        *(best_deferred_hits(platform.read_picture(untrusted_data), platform) if deep else ()),
    ]


def _find_clip_hits(untrusted_data: bytes, platform: Platform) -> list[Hit]:
    # Imported here: trying a picture need not load the libraries for clips and sounds.
    from entrenous.stop.judge.clips import find_clip_hits_and_banks, scan_clip  # noqa: PLC0415

    return [
        hit for _, hit in find_clip_hits_and_banks(scan_clip(untrusted_data, platform), platform)[0]
    ]
