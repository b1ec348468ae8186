"""The gate's database in PostgreSQL, for several gate processes. Imports the optional psycopg."""

from functools import partial
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from entrenous.serving.postgres_address import refuse_invalid_address
from entrenous.stop.store.engine import PinnedConnectionPool, prepare

_CONNECTIONS: Final = 8  # connections per process; up to as many more are opened if needed
# A session that is idle in a transaction is ended before others, which wait for its locks, give up.
_OPTIONS: Final = (
    "-c synchronous_commit=on -c lock_timeout=15s -c idle_in_transaction_session_timeout=10s "
    # The level is set explicitly, whatever the server's default. With it, a statement sees what was
    # committed while it waited for a lock.
    r"-c jit=off -c default_transaction_isolation=read\ committed"
)


def open_postgres_engine(url: str) -> sa.Engine:
    """Open the database at ``postgresql://...``; create missing tables.

    Keep a password in libpq's own file, ~/.pgpass, not in the URL.

    Raises:
        BadDatabaseAddress: libpq cannot parse the ``url``.
        NewerBank, OlderBank: another version of Entrenous wrote it; nothing is changed.
        BankUnreachable: it cannot be reached, or refuses the login.
    """
    refuse_invalid_address(url)
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=partial(_connect, url),
        poolclass=PinnedConnectionPool,
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        hide_parameters=True,  # keep hashes and pictures out of logs
    )
    prepare(engine)
    return engine


def _connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, connect_timeout=5, options=_OPTIONS)
