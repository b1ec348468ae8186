"""The platform's database in PostgreSQL, for several gate processes side by side.

A file of its own because it imports the optional driver psycopg.
"""

from functools import partial
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from entrenous.serving.postgres_address import refuse_unreadable
from entrenous.stop.store.engine import PinnedConnectionPool, prepare

_CONNECTIONS: Final = 8  # of one process: as many as judge uploads at once
# Whoever stands still inside a transaction is ended before those that wait for it give up.
_OPTIONS: Final = (
    "-c synchronous_commit=on -c lock_timeout=15s -c idle_in_transaction_session_timeout=10s "
    # Who waited for a lock sees what was committed meanwhile, whatever the server's default is.
    r"-c jit=off -c default_transaction_isolation=read\ committed"
)


def open_postgres_engine(url: str) -> sa.Engine:
    """The database at ``postgresql://...``, whose tables are made if they are missing.

    A password is better left to libpq's own file, ~/.pgpass.

    Raises:
        BadDatabaseAddress: libpq cannot read the ``url``.
        NewerBank, OlderBank: another version of Entrenous wrote it; it is as it was.
        BankUnreachable: it cannot be reached, or does not let us in.
    """
    refuse_unreadable(url)
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=partial(_connect, url),
        poolclass=PinnedConnectionPool,
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        hide_parameters=True,  # hashes and pictures: not for a log
    )
    prepare(engine)
    return engine


def _connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, connect_timeout=5, options=_OPTIONS)
