"""Start a process that is given nothing of ours, and end it with all that it has forked."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

from entrenous.model.picture import DecoderDidNotStart


def start_alone(command: Sequence[str], stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    """With an empty environment, as the leader of a session; the ends are as Popen takes them.

    Raises:
        DecoderDidNotStart: it cannot be started.
    """
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            close_fds=True,
            cwd="/",
            env={},
            umask=0o077,
            start_new_session=True,
        )
    except OSError as error:
        raise DecoderDidNotStart from error


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a session, and all that it has forked."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
