"""Serve one look from a thread, and open it in the system's browser."""

import os
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from entrenous.adapters.http_server import listening, server_for, url_of
from entrenous.faces.cli.look.app import look_app
from entrenous.faces.cli.look.session import Look

_SCREENS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


@contextmanager
def serving(look: Look) -> Iterator[str]:
    """Serve it on the loopback for as long as the context is open; its address.

    Raises:
        AddressTaken: the loopback cannot be listened on.
    """
    with listening("127.0.0.1", 0) as taken:
        server = server_for(look_app(look, taken))
        thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
        thread.start()
        try:
            yield f"{url_of(taken)}/{look.cover}"
        finally:
            look.end()
            server.should_exit = True
            thread.join()


def open_browser(address: str) -> bool:
    """Whether a browser with a screen was asked to show it. One that belongs to a terminal is not:
    it would take this one.
    """
    has_screen = sys.platform in {"darwin", "win32"} or any(map(os.environ.get, _SCREENS))
    if not has_screen:
        return False
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return True
