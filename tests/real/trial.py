"""What every trial needs in which programs are killed: a place, a database, a program to kill."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.ready import begun


@contextmanager
def folder_and_database(*, postgresql: bool) -> Iterator[tuple[Path, str]]:
    """An empty folder, and the address of an empty database: none ("") where SQLite will do."""
    with ExitStack() as going:
        folder = Path(going.enter_context(tempfile.TemporaryDirectory()))
        database = ""
        if postgresql:
            from tests.postgres import cluster

            database = going.enter_context(cluster()).fresh()
        yield folder, database


@contextmanager
def to_be_killed(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A program that runs, and whose words can be read; at the end it is killed, if not before."""
    with begun(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def first_words(process: subprocess.Popen[str]) -> str:
    """The line that it says once it serves."""
    assert process.stdout is not None
    return process.stdout.readline()
