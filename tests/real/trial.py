"""Helpers for trials that kill programs: a folder, a database, and a program to be killed."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.ready import start_program


@contextmanager
def folder_and_database(*, postgresql: bool) -> Iterator[tuple[Path, str]]:
    """Yield an empty folder, and the URL of an empty PostgreSQL database, or "" for SQLite."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = ""
        if postgresql:
            from tests.postgres import run_cluster

            database = stack.enter_context(run_cluster()).create_database()
        yield folder, database


@contextmanager
def run_and_kill_at_end(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a program with a readable standard output, and kill the program at the end."""
    with start_program(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_first_line(process: subprocess.Popen[str]) -> str:
    """Wait for the first line that the process prints, and return the line."""
    assert process.stdout is not None
    return process.stdout.readline()
