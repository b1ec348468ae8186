"""A disk that really fills up: a small tmpfs in a mount namespace of its own.

Only programs that are started inside the namespace see the disk. The disk disappears with the
process that holds the namespace, and the machine's own mounts do not change.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """A disk that is mounted at ``folder`` while the process ``holder_pid`` runs."""

    folder: Path
    holder_pid: int

    @property
    def command_prefix(self) -> tuple[str, ...]:
        """The words to put in front of a command so that it runs inside the namespace."""
        same_user_options = () if os.geteuid() == 0 else ("-U", "--preserve-credentials")
        return ("nsenter", "-t", str(self.holder_pid), "-m", *same_user_options, "--")

    def resize(self, megabytes: int) -> None:
        """Change the size of the disk; raise CalledProcessError if the content needs more."""
        remount = ("mount", "-o", f"remount,size={megabytes}m", str(self.folder))
        subprocess.run([*self.command_prefix, *remount], check=True)

    def used_mb(self) -> int:
        """Return the used space in MB, rounded up."""
        command = [*self.command_prefix, "df", "--output=used", "-B1M", str(self.folder)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return int(output.split()[-1])


@contextmanager
def mount_small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a small disk until the context ends; skip the test if no namespace can be created."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("needs unshare and nsenter: apt-get install util-linux")
    folder.mkdir(exist_ok=True)
    namespace_options = "-m" if os.geteuid() == 0 else "-rm"
    mount = 'mount -t tmpfs -o size=$1m,mode=0700 none "$2" && echo there && exec cat'
    command = ["unshare", namespace_options, "sh", "-c", mount, "sh", str(megabytes), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder_process:
        try:
            if holder_process.stdout is None or holder_process.stdout.readline() != b"there\n":
                pytest.skip("this process may not create a mount namespace")
            yield SmallDisk(folder, holder_process.pid)
        finally:
            holder_process.kill()
