"""What would become of an upload, without its being kept: for whoever sets up a gate."""

from entrenous.model.decision import Decision, Outcome
from entrenous.model.picture import CutShort, DecoderGaveUp
from entrenous.ports import Platform
from entrenous.stop.deep import deep_matches
from entrenous.stop.gate import best_of_each, decision_of, find
from entrenous.stop.look import views


def judge_dry(untrusted_data: bytes, platform: Platform, *, deep: bool = False) -> Decision:
    """The decision that :func:`.gate.judge_upload` would take; its case number is empty.

    ``deep`` adds the slow look (:mod:`.deep`), whose hits only call for holding.

    Raises:
        NotAPicture, TooManyPixels: there is nothing to judge.
        BankUnreachable: no decision could be made.
    """
    try:
        picture = platform.read_picture(untrusted_data)
    except (CutShort, DecoderGaveUp):
        return Decision(Outcome.HOLD, "")
    seen = views(picture)
    found = [
        *find(seen.whole, platform, part=False),
        *find(seen.parts, platform, part=True),
        *(deep_matches(picture, platform) if deep else ()),
    ]
    return decision_of(best_of_each(found), {bank.name: bank for bank in platform.bank.banks()})
