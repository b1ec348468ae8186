"""Read the processor time of other processes, in seconds, from Linux's ``/proc``."""

import os
from pathlib import Path


def cpu_s(process: int) -> float:
    """Return the processor time that a process has used, without its children."""
    return sum(_times_s(process)[:2])


def tree_cpu_s(process: int) -> float:
    """Return the processor time of a process and all its descendants.

    Descendants that have ended are included if they were waited for. A process that no longer
    exists counts as 0.
    """
    try:
        own = sum(_times_s(process))
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = " ".join((one / "children").read_text() for one in threads).split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return own + sum(tree_cpu_s(int(child)) for child in children)


def _times_s(process: int) -> list[float]:
    """Return utime, stime, cutime and cstime; the last two are of children that were waited for.

    See proc_pid_stat(5).
    """
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return [int(one) / os.sysconf("SC_CLK_TCK") for one in fields[11:15]]
