"""One fetch of a source at a time: two would each withdraw what the other has just made."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from entrenous.model.exchange import FetchRuns

_CONTEXT: Final = b"entrenous/1 exchange fetch\x00"


@contextmanager
def one_fetch(engine: sa.Engine, name: str) -> Iterator[None]:
    """While this is the only fetch of that source, among all processes on the same database.

    The lock ends with its process, however that ends. Raises FetchRuns.
    """
    if engine.dialect.name == "postgresql":
        with _advisory(engine, name):
            yield
        return
    with _beside_the_file(engine, name):
        yield


@contextmanager
def _advisory(engine: sa.Engine, name: str) -> Iterator[None]:
    digest = hashlib.sha256(_CONTEXT + name.encode()).digest()
    key = int.from_bytes(digest[:8], signed=True)
    with engine.connect() as db:
        db.execution_options(isolation_level="AUTOCOMMIT")
        if not db.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar_one():
            raise FetchRuns(name=name)
        try:
            yield
        finally:
            db.execute(sa.select(sa.func.pg_advisory_unlock(key)))


@contextmanager
def _beside_the_file(engine: sa.Engine, name: str) -> Iterator[None]:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(f"{engine.url.database}.fetch-{name}", flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise FetchRuns(name=name) from None
    try:
        yield
    finally:
        os.close(handle)
