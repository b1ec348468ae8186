"""Create the tables in new databases; the n-th process is killed at the n-th statement.

``python killed.py FOLDER`` prints how many processes were killed before one completed.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from entrenous.carry.store.sqlite_rows import open_sqlite


def _kill_self_at(statement_number: int) -> None:
    """Kill this process when it executes the statement with this number."""
    executed = 0

    def kill_at_statement(*_: Any) -> None:
        nonlocal executed
        executed += 1
        if executed == statement_number:
            os.kill(os.getpid(), signal.SIGKILL)

    sql.event.listen(sql.Engine, "before_cursor_execute", kill_at_statement)


def _completes_in_a_child(database: Path, statement_number: int) -> bool:
    """Create the tables in a child process; return whether the process completed."""
    child = os.fork()
    if child == 0:
        _kill_self_at(statement_number)
        open_sqlite(database).close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


def main(folder: Path) -> None:
    # This start imports and compiles everything once, for all processes that are forked later.
    open_sqlite(folder / "warm-up" / "mail.db").close()
    statement_number = 1
    while not _completes_in_a_child(folder / str(statement_number) / "mail.db", statement_number):
        statement_number += 1
    sys.stdout.write(str(statement_number - 1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
