"""The identity of this program: its installed version, and the commit it was built from.

The build imports this module before any dependency is installed, so it imports the standard library
only.
"""

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Program:
    """A version such as "0.1.0", and a commit of twelve hexadecimal digits, followed by "-dirty" if
    files differ from it. Either may be ``UNKNOWN``.
    """

    version: str = UNKNOWN
    commit: str = UNKNOWN

    def __str__(self) -> str:
        return f"entrenous {self.version}, commit {self.commit}"


#: Written into the package when a wheel or an sdist is built.
COMMIT_FILE: Final = "commit.txt"
_PACKAGE: Final = Path(__file__).parents[1]
_PATIENCE_S: Final = 5.0
# The checkout may belong to another account than the one that runs a relay or a gate. The first
# setting lets git read it all the same; the second keeps git from starting a configured program.
_GIT: Final = ("git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false")
_DESCRIBE: Final = ("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


@cache
def this_program() -> Program:
    """Return version and commit of the running program, cached."""
    from importlib import metadata  # noqa: PLC0415 -- its email parser takes 15 ms to import

    try:
        installed = metadata.version("entrenous")
    except metadata.PackageNotFoundError:  # run from its folder without being installed
        installed = UNKNOWN
    return Program(installed, commit_of(_PACKAGE))


def commit_of(package: Path) -> str:
    """Return the commit of the package in this folder: of the checkout around it (``src/NAME``), or
    the one that its build recorded, or ``UNKNOWN``.
    """
    checkout = package.parents[1]
    if package.parent.name == "src" and (checkout / ".git").exists():
        return _git_description(checkout) or UNKNOWN
    try:
        return (package / COMMIT_FILE).read_text("ascii").strip() or UNKNOWN
    except (OSError, UnicodeDecodeError):
        return UNKNOWN


def _git_description(checkout: Path) -> str:
    """Return git's description of the checkout's commit.

    Empty if there is no git or no checkout.
    """
    surroundings = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CEILING_DIRECTORIES": str(checkout.parent),
        "GIT_OPTIONAL_LOCKS": "0",  # git must not write while it reads
    }
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, fixed options, no shell
            [*_GIT, *_DESCRIBE],
            cwd=checkout,
            env=surroundings,
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip()
