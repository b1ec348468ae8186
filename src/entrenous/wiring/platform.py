"""Open a platform's gate: its banks, its index, its review queue, its tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

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
from entrenous.wiring.folders import kept_in


@dataclass(frozen=True, slots=True)
class GateTokens:
    """What the platform's own server shows, and what may be given to whoever uploads."""

    operator: Secret
    uploader: Secret


@contextmanager
def open_platform(folder: Path) -> Iterator[tuple[Platform, GateTokens]]:
    """The platform whose database and tokens are in ``folder``; made if missing.

    Raises:
        UnusableFolder, DiskFull, BankUnreachable.
    """
    with kept_in(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tokens = GateTokens(
            kept_token(folder / "operator.token"), kept_token(folder / "uploader.token")
        )
    engine = open_engine(folder / "bank.db")
    try:
        yield _platform(engine), tokens
    finally:
        engine.dispose()


def _platform(engine: sa.Engine) -> Platform:
    bank = SqlBankStore(engine)
    prepare_banks(bank)
    return Platform(
        clock=SystemClock(),
        dice=SystemDice(),
        bank=bank,
        index=FollowingIndex(bank),
        reviews=SqlReviewQueue(engine),
        read_picture=decode_untrusted,
    )
