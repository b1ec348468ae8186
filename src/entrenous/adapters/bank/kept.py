"""One connection for glances, kept open: taking one from the pool for each statement, and ending a
transaction that reads, costs more than most statements.

No transaction is begun on it, but for what is inserted by itself, so each statement sees what was
committed before it. One thread has it at a time; another one that comes meanwhile takes a
connection from the pool.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError


class GlancingPool(sa.pool.QueuePool):
    """A pool that keeps one of its connections out for glances; closed when the pool is."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._out = threading.Lock()
        self._kept: sa.Connection | None = None

    @contextmanager
    def glance(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        """That connection, or another one. ``engine`` is whose pool this is."""
        if not self._out.acquire(blocking=False):
            with engine.connect() as db:
                yield db
            return
        try:
            if self._kept is None:
                self._kept = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            yield self._kept
        except BaseException:
            self._drop()  # whatever it was: the next glance begins with another one
            raise
        finally:
            self._out.release()

    def dispose(self) -> None:
        """Close all connections."""
        with self._out:
            self._drop()
        super().dispose()

    def _drop(self) -> None:
        if self._kept is not None:
            with suppress(SQLAlchemyError):
                self._kept.close()
            self._kept = None
