"""What a program that is measured used of the processors, in seconds, told by Linux."""

import os
from pathlib import Path


def cpu_s(process: int) -> float:
    """What a process used, without its children."""
    return sum(_times_s(process)[:2])


def tree_cpu_s(process: int) -> float:
    """What a process, its children and those that have ended used; 0 of one that is gone."""
    try:
        own = sum(_times_s(process))
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = " ".join((one / "children").read_text() for one in threads).split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return own + sum(tree_cpu_s(int(child)) for child in children)


def _times_s(process: int) -> list[float]:
    """utime, stime, and both of the children that were waited for: see proc_pid_stat(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return [int(one) / os.sysconf("SC_CLK_TCK") for one in fields[11:15]]
