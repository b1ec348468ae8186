"""Tell a person that they are needed, by a program of the operator's (docs/spec/gate.md, 7.4)."""

import subprocess
from collections.abc import Sequence
from typing import Final

from entrenous.model.page import Page, PageFailed

WAIT_S: Final = 30.0


def run_pager(command: Sequence[str], page: Page, wait_s: float = WAIT_S) -> None:
    """Run it, without a shell, with what the page is about and how many as its last arguments.

    Nothing of a case is told. What it writes goes nowhere: it may repeat a secret of its own.

    Raises:
        PageFailed: it can't be started, ends with another status than 0, or takes too long.
    """
    told = [*command, page.kind.value, str(page.count)]
    nowhere = subprocess.DEVNULL
    try:
        done = subprocess.run(  # noqa: S603 -- the operator's own words, in a file of theirs
            told, stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=wait_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise PageFailed(kind=page.kind, why=f"takes longer than {wait_s:g} seconds") from None
    except (OSError, ValueError, subprocess.SubprocessError):
        raise PageFailed(kind=page.kind, why="cannot be started") from None
    if done.returncode != 0:
        raise PageFailed(kind=page.kind, why="says that it failed")
