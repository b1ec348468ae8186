"""A disk that really fills up: a tmpfs of a few MB, in its own mount namespace.

Only programs that are started inside the namespace see it. It disappears with the process that
holds the namespace, and the machine's own mounts do not change.
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
    """A disk that is mounted at ``folder``, as long as the process ``holder`` runs."""

    folder: Path
    holder: int

    @property
    def inside(self) -> tuple[str, ...]:
        """The words that start a command inside the namespace."""
        alike = () if os.geteuid() == 0 else ("-U", "--preserve-credentials")
        return ("nsenter", "-t", str(self.holder), "-m", *alike, "--")

    def resize(self, megabytes: int) -> None:
        """Change the size of the disk, but not below the size of its content."""
        remount = ("mount", "-o", f"remount,size={megabytes}m", str(self.folder))
        subprocess.run([*self.inside, *remount], check=True)

    def used_mb(self) -> int:
        """Return the used space in MB, rounded up."""
        command = [*self.inside, "df", "--output=used", "-B1M", str(self.folder)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return int(output.split()[-1])


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a small disk until the context ends; skip where no namespace can be created."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("needs unshare and nsenter: apt-get install util-linux")
    folder.mkdir(exist_ok=True)
    own = "-m" if os.geteuid() == 0 else "-rm"
    mount = 'mount -t tmpfs -o size=$1m,mode=0700 none "$2" && echo there && exec cat'
    command = ["unshare", own, "sh", "-c", mount, "sh", str(megabytes), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holding:
        try:
            if holding.stdout is None or holding.stdout.readline() != b"there\n":
                pytest.skip("no mount namespace may be made here")
            yield SmallDisk(folder, holding.pid)
        finally:
            holding.kill()
