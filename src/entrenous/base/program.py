"""The identity of this program: its installed version, and the commit it was built from.

This module imports only the standard library, because the build imports it before any dependency is
installed.
"""

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

UNKNOWN_VERSION: Final = "unknown"


@dataclass(frozen=True, slots=True)
class ProgramVersion:
    """The version of this program, and the commit that it was built from.

    A version looks like "0.1.0". A commit has twelve hexadecimal digits, followed by "-dirty" if
    files differ from it. Either may be ``UNKNOWN_VERSION``.
    """

    version: str = UNKNOWN_VERSION
    commit: str = UNKNOWN_VERSION

    def __str__(self) -> str:
        return f"entrenous {self.version}, commit {self.commit}"


#: The name of a file with the commit, which the build of a wheel or an sdist writes into the
#: package.
COMMIT_FILE: Final = "commit.txt"
_PACKAGE_FOLDER: Final = Path(__file__).parents[1]
_GIT_TIMEOUT_S: Final = 5.0
# The checkout may belong to a different account than the one that runs a relay or a gate. The first
# setting lets git read it nevertheless; the second keeps git from starting a configured program.
_GIT_WITH_SAFE_OPTIONS: Final = ("git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false")
_DESCRIBE_ARGUMENTS: Final = ("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


@cache
def this_program_version() -> ProgramVersion:
    """Return the version and the commit of the running program; they are determined once."""
    from importlib import metadata  # noqa: PLC0415 -- its email parser takes 15 ms to import

    try:
        installed = metadata.version("entrenous")
    # the program runs from its folder without being installed
    except metadata.PackageNotFoundError:
        installed = UNKNOWN_VERSION
    return ProgramVersion(installed, commit_of(_PACKAGE_FOLDER))


def commit_of(package: Path) -> str:
    """Return the commit of the package in this folder.

    It is the commit of the git checkout that contains the folder (as ``src/NAME``). Without a
    checkout, it is the commit that the build recorded, or else ``UNKNOWN_VERSION``.
    """
    checkout = package.parents[1]
    if package.parent.name == "src" and (checkout / ".git").exists():
        return _git_description(checkout) or UNKNOWN_VERSION
    try:
        return (package / COMMIT_FILE).read_text("ascii").strip() or UNKNOWN_VERSION
    except (OSError, UnicodeDecodeError):
        return UNKNOWN_VERSION


def _git_description(checkout: Path) -> str:
    """Return git's description of the checkout's commit; "" without git or without a checkout."""
    surroundings = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CEILING_DIRECTORIES": str(checkout.parent),
        "GIT_OPTIONAL_LOCKS": "0",  # keeps git from writing to the checkout
    }
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, fixed options, no shell
            [*_GIT_WITH_SAFE_OPTIONS, *_DESCRIBE_ARGUMENTS],
            cwd=checkout,
            env=surroundings,
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip()
