"""How a process that has threads starts another one."""

import subprocess


def fork_whole() -> None:
    """Start processes by fork from now on, not by vfork.

    After vfork the child has its parent's memory, locks and all, until it becomes another program.
    If the parent is killed in that moment, a lock that another of its threads held is never let go
    of: glibc takes one to change how a signal is handled (``__abort_lock``), so the child waits for
    good. What it then holds open keeps others waiting: a judge for the end of its questions, and
    PostgreSQL for the end of a transaction. After fork the child has locks of its own.
    """
    # Documented: docs.python.org/3.11/library/subprocess.html, "Disabling use of vfork()".
    setattr(subprocess, "_USE_VFORK", False)  # noqa: B010 -- unknown to type checkers
