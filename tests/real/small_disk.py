"""A disk that really fills: a tmpfs of a few MB, in a mount namespace of its own.

It is there for who is started inside, and gone with the process that holds it; the machine's own
mounts stay as they are.
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
    """The disk at ``folder``, which a process holds."""

    folder: Path
    holder: int

    @property
    def inside(self) -> tuple[str, ...]:
        """What a command begins with that is to see it."""
        alike = () if os.geteuid() == 0 else ("-U", "--preserve-credentials")
        return ("nsenter", "-t", str(self.holder), "-m", *alike, "--")

    def resize(self, megabytes: int) -> None:
        """Make it larger, or smaller but not than what is on it."""
        remount = ("mount", "-o", f"remount,size={megabytes}m", str(self.folder))
        subprocess.run([*self.inside, *remount], check=True)

    def used_mb(self) -> int:
        """How full it is, rounded up."""
        command = [*self.inside, "df", "--output=used", "-B1M", str(self.folder)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return int(said.split()[-1])


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Skips the test, by name, where no namespace may be made."""
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
