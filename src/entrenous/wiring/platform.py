"""Open a platform's gate: its banks, its index, its review queue, its tokens."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.settings import gate_settings
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.adapters.index.tending import open_index
from entrenous.adapters.kept_token import kept_token
from entrenous.adapters.system import SystemClock, SystemDice
from entrenous.craft.media.jail import decode_untrusted
from entrenous.model.gate import GateLimits, LacksPsycopg
from entrenous.model.secret import Secret
from entrenous.ports import BankStore, IndexStore, Platform
from entrenous.spec import GATE_SIDE_PX
from entrenous.stop.banks import prepare_banks
from entrenous.wiring.folders import kept_in


@dataclass(frozen=True, slots=True)
class GateTokens:
    """What the platform's own server shows, and what may be given to whoever uploads."""

    operator: Secret
    uploader: Secret


@contextmanager
def open_platform(folder: Path) -> Iterator[tuple[Platform, GateTokens]]:
    """The platform whose settings, tokens and (without another in its settings) database are in
    ``folder``; made if missing.

    Raises:
        UnusableFolder, DiskFull, BankUnreachable, BadGateSettings.
        BadDatabaseAddress, LacksPsycopg: the settings name a PostgreSQL.
    """
    with kept_in(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tokens = GateTokens(
            kept_token(folder / "operator.token"), kept_token(folder / "uploader.token")
        )
        settings = gate_settings(folder)
    with ExitStack() as opened:
        engine = _engine(folder, settings.database)
        opened.callback(engine.dispose)
        bank = SqlBankStore(engine, SystemClock())
        prepare_banks(bank)
        with kept_in(folder):
            index = opened.enter_context(closing(open_index(folder / "index", bank)))
        yield _platform(engine, bank, index, settings.limits), tokens


def _engine(folder: Path, database: str | None) -> sa.Engine:
    """PostgreSQL's is imported here, for not everybody has its library."""
    if database is None:
        return open_engine(folder / "bank.db")
    try:
        from entrenous.adapters.bank.postgres import open_postgres_engine  # noqa: PLC0415
    except ImportError:
        raise LacksPsycopg from None
    return open_postgres_engine(database)


def _platform(
    engine: sa.Engine, bank: BankStore, index: IndexStore, limits: GateLimits
) -> Platform:
    clock = SystemClock()
    return Platform(
        clock=clock,
        dice=SystemDice(),
        bank=bank,
        index=index,
        reviews=SqlReviewQueue(engine, clock),
        read_picture=partial(decode_untrusted, at_least_px=GATE_SIDE_PX),
        limits=limits,
    )
