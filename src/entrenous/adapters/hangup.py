"""SIGHUP: a service manager's word for "read anew", and a terminal's for "I was closed"."""

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import Final

import uvicorn

from entrenous.adapters.server_log import OURS
from entrenous.adapters.tls import Certificate
from entrenous.model.relay_settings import BadCertificate

_LOG: Final = logging.getLogger(OURS)


def hear_hangups(server: uvicorn.Server, certificate: Certificate | None) -> None:
    """From now on, in the loop that runs, SIGHUP reads a certificate again; when it can't be used,
    the old one is shown on, and the log says so.

    Without a certificate there is nothing to read: in a terminal the server stops, as at SIGTERM,
    and a service goes on. Where the signal is ignored, as under nohup, it stays so.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return
    if certificate is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return
    in_a_terminal = _in_a_terminal()  # asked now: a terminal that was closed is no terminal

    def hear() -> None:
        if certificate is not None:
            _read_again(certificate)
        elif in_a_terminal:
            server.should_exit = True

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hear)


def _read_again(certificate: Certificate) -> None:
    try:
        certificate.load()
    except BadCertificate:
        said = {"event": "certificate-unusable", "shown": "the one before"}
        _LOG.error("certificate-unusable", extra={"said": said})


def _in_a_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
