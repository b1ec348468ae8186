"""The slow look at what was let through, after the answer (docs/spec/gate.md section 5.4).

The platform has published such an upload by then. So what is found goes before a person, with its
bytes, by the rules of the first looks; the platform learns of it by asking.
"""

import hashlib
from datetime import timedelta
from typing import Final

from entrenous.model.decision import Outcome
from entrenous.model.picture import Picture
from entrenous.model.review import Found, LateFind, SlowLook
from entrenous.ports import Platform
from entrenous.stop.clock import days_ahead
from entrenous.stop.deep import deep_found
from entrenous.stop.gate import find_at
from entrenous.stop.look import fast_views
from entrenous.stop.look_back import LEASE
from entrenous.stop.released import file_releases
from entrenous.stop.weigh import asked_about, best_entry, best_of_each, decision_of

BYTES_COME: Final = timedelta(minutes=1)  # after the row of an upload, or its gate died


def look_slowly(platform: Platform) -> bool:
    """Make the slow look that is due longest; False if none is.

    Raises:
        DecoderGaveUp, BankUnreachable: it was not made, and is due again in some minutes.
    """
    upload = platform.reviews.take_slow_look(LEASE)
    if upload is None:
        return False
    find = _find(upload, platform.read_picture(upload.untrusted_upload), platform)
    if find is None or not platform.reviews.hold_late(find, platform.limits.held_per_hash):
        platform.reviews.slow_look_made(upload.case)
    return True


def skip_slow_looks(platform: Platform) -> int:
    """Give up slow looks for which there was no room, or that end whoever makes them; how many.
    None by a clock that cannot be right.
    """
    if days_ahead(platform):
        return 0
    return platform.reviews.skip_slow_looks(platform.clock.now() - BYTES_COME)


def _find(upload: SlowLook, picture: Picture, platform: Platform) -> LateFind | None:
    """What a person is to be asked about, if anything: it is weighed with the whole upload, by
    which what a reviewer let through is known.
    """
    seen = fast_views(picture)
    found = [*find_at(seen.whole, platform, part=False), *deep_found(picture, platform)]
    banks = {bank.name: bank for bank in platform.bank.banks()}
    hits = [hit for _, hit in found]
    sha256 = hashlib.sha256(upload.untrusted_upload).digest()
    released = file_releases(sha256, platform)
    if decision_of(hits, banks, released).outcome is Outcome.LET_THROUGH:
        return None
    asked = asked_about(found, banks)
    matches = tuple(match for match, _ in best_of_each(hit for _, hit in asked))
    entry = best_entry(asked)
    if entry is None:
        return None
    return LateFind(upload.case, matches, entry, Found.SLOW_LOOK, seen.bits, sha256)
