"""What a bank of version 2 or 4 must know and do once it was opened, whichever its database."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import sqlalchemy as sa

from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.model.claim import Claim, ClaimEvent, ClaimState, Registration
from entrenous.model.ids import ClaimId
from entrenous.model.page import Page, PageKind
from entrenous.model.print import VIDEO_KIND, FramePrint, SoundPrint, VideoPrint
from entrenous.model.review import ReviewState

ONE, TWO = b"\x01" * 32, b"\x02" * 32


@dataclass(frozen=True)
class Upgraded:
    """A bank that was upgraded, the claim that it had, and a video that came after."""

    bank: SqlBankStore
    early: Claim
    film: Claim


def knows_what_it_had_and_takes_a_video(
    opened: Callable[[], sa.Engine], whole: int, part: int
) -> Upgraded:
    """``whole`` and ``part`` are the numbers of its two hashes. The caller closes the bank."""
    for _ in range(2):  # once more is no upgrade
        engine = opened()
        bank, reviews = SqlBankStore(engine), SqlReviewQueue(engine)
        early = bank.claim(ClaimId("early"))
        assert bank.hashes_of(early.id) == (ONE,)
        assert bank.places_on({whole, part}) == ((whole, early, None), (part, early, None))
        assert [one.bits for one in reviews.kept_pictures(0, 9)] == [TWO]
        assert reviews.review("bbbb").reference == "post 4"
        engine.dispose()
    bank = SqlBankStore(opened())
    film = replace(early, id=ClaimId("film"), kind=VIDEO_KIND)
    video = VideoPrint((FramePrint(0, ONE, 90), FramePrint(125, TWO, 90, ONE)))
    bank.register(Registration(film, video=video, sound=SoundPrint(b"\x01\x02\x03\x04" * 40)))
    assert [of.id for _, of in bank.heard_by([1])] == ["film"]
    assert bank.changes(7, 9)[0].number == 8
    return Upgraded(bank, early, film)


def two_can_confirm_what_waited(opened: Callable[[], sa.Engine]) -> None:
    """Of version 4: the case "aaaa", which fits the claim "later", and since 1970 waits."""
    for _ in range(2):  # once more is no upgrade
        engine = opened()
        queue = SqlReviewQueue(engine)
        assert queue.review("aaaa").first_confirmer == ""
        assert queue.reviewers() == ()
        engine.dispose()
    engine = opened()
    queue = SqlReviewQueue(engine)
    queue.add_reviewer("ana", ONE)
    found = queue.reviewer_with(ONE)
    assert found is not None
    assert queue.confirm_first("aaaa", found.name)
    assert not queue.confirm_first("aaaa", "ben")
    assert queue.take_pages(queue.clock.now(), 20) == (Page(PageKind.WAITING, 1),)
    confirms = ClaimEvent.CONFIRM
    queue.close(
        "aaaa", ReviewState.CONFIRMED, lambda _, bank: bank.move(ClaimId("later"), confirms), "ben"
    )
    assert SqlBankStore(engine).claim(ClaimId("later")).state is ClaimState.CONFIRMED
    assert queue.review("aaaa").first_confirmer == ""
    engine.dispose()
