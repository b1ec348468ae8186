"""Count how a gate stands: its database, and the index of this process."""

from collections.abc import Callable

import sqlalchemy as sa

from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.adapters.bank.sql_standing import shut_away, standing
from entrenous.adapters.index.lazy import LazyIndex
from entrenous.model.standing import IndexStanding, Standing
from entrenous.ports import Platform


def standing_of(platform: Platform, *, with_shadow: bool = False) -> Standing:
    """What is counted in its database; raises BankUnreachable."""
    engine = platform.bank.engine if isinstance(platform.bank, SqlBankStore) else None
    if not isinstance(engine, sa.Engine):
        raise TypeError("figures are counted in a database")
    due = platform.reviews.due()
    now, shadow = platform.clock.now(), platform.limits.shadow
    return standing(engine, now, due, with_shadow=with_shadow, all_in_shadow=shadow)


def shut_away_of(platform: Platform) -> int:
    """How many of the uploads that wait nobody can open, for their key is gone, as far as was
    looked; raises BankUnreachable.
    """
    reviews = platform.reviews
    if not isinstance(reviews, SqlReviewQueue) or not isinstance(reviews.engine, sa.Engine):
        raise TypeError("keys are asked for in a database")
    return shut_away(reviews.engine, reviews.held)


def sight_of(platform: Platform) -> Callable[[], tuple[Standing, IndexStanding | None]]:
    """What a gate that serves is asked for its figures; opens the index if nothing else has."""

    def look() -> tuple[Standing, IndexStanding | None]:
        index = platform.index
        opened = index.opened().index if isinstance(index, LazyIndex) else None
        return standing_of(platform), opened.standing() if opened else None

    return look
