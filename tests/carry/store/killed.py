"""Create the tables in new files, killing the n-th process at its n-th statement.

``python killed.py FOLDER`` prints how many processes were killed before one completed.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from entrenous.carry.store.sqlite_rows import open_sqlite


def _kill_self_at(statement: int) -> None:
    executed = 0

    def count(*_: Any) -> None:
        nonlocal executed
        executed += 1
        if executed == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    sql.event.listen(sql.Engine, "before_cursor_execute", count)


def _completes(mail: Path, statement: int) -> bool:
    child = os.fork()
    if child == 0:
        _kill_self_at(statement)
        open_sqlite(mail).close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


def main(folder: Path) -> None:
    # This imports and compiles everything once, for all processes that are forked afterwards.
    open_sqlite(folder / "warm-up" / "mail.db").close()
    statement = 1
    while not _completes(folder / str(statement) / "mail.db", statement):
        statement += 1
    sys.stdout.write(str(statement - 1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
