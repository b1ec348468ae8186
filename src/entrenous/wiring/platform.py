"""Open a platform's gate: its banks, its index, its review queue."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.following_index import FollowingIndex
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.adapters.kept_token import kept_token
from entrenous.adapters.system import SystemClock, SystemDice
from entrenous.craft.media.jail import decode_untrusted
from entrenous.model.secret import Secret
from entrenous.ports import Platform
from entrenous.stop.banks import prepare_banks


@contextmanager
def open_platform(folder: Path) -> Iterator[tuple[Platform, Secret]]:
    """The platform whose database is in ``folder``, and its operator's token; made if missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = open_engine(folder / "bank.db")
    bank = SqlBankStore(engine)
    prepare_banks(bank)
    index, reviews = FollowingIndex(bank), SqlReviewQueue(engine)
    try:
        yield (
            Platform(SystemClock(), SystemDice(), bank, index, reviews, decode_untrusted),
            kept_token(folder / "operator.token"),
        )
    finally:
        engine.dispose()
