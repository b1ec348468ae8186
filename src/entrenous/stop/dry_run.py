"""What would become of an upload, without its being kept: for whoever sets up a gate."""

import hashlib

from entrenous.craft.media.kind import medium_of
from entrenous.model.decision import Decision
from entrenous.model.medium import Medium
from entrenous.ports import Platform
from entrenous.stop.before_answer import first_look, second_look
from entrenous.stop.deep import deep_matches
from entrenous.stop.gate import UNREAD, find
from entrenous.stop.released import file_releases, unread_outcome
from entrenous.stop.weigh import decision_of, in_shadow


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
        picture, seen = first_look(untrusted_data, platform)
        found = [
            *find(seen.whole, platform, part=False),
            *find(second_look(untrusted_data, picture, seen, platform), platform, part=True),
            *(deep_matches(platform.read_picture(untrusted_data), platform) if deep else ()),
        ]
    except UNREAD:
        return Decision(unread_outcome(sha256, platform), "")
    banks = {bank.name: bank for bank in platform.bank.banks()}
    return decision_of(found, banks, file_releases(sha256, platform))


def _clip(untrusted_data: bytes, platform: Platform) -> Decision:
    # Who tries a picture does not wait for the libraries of clips and sounds to load.
    from entrenous.stop.clips import clip_fits, see_clip  # noqa: PLC0415

    found, banks = clip_fits(see_clip(untrusted_data, platform), platform)
    sha256 = hashlib.sha256(untrusted_data).digest()
    hits = [hit for _, hit in found]
    return decision_of(hits, banks, file_releases(sha256, platform))
