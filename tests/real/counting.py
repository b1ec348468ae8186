"""A TCP proxy in front of a relay that counts bytes, and can cut a connection in the middle."""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Counting:
    """A proxy that counts the bytes that ``went`` to the relay, and those that ``came`` from it.

    After ``until`` bytes to the relay, or ``until_came`` bytes from it, it sets ``full``, and
    forwards no more in that direction until ``cut`` is set; then it closes that connection.
    """

    relay: tuple[str, int]
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    came: int = 0
    went: int = 0
    until: int | None = None
    until_came: int | None = None
    full: threading.Event = field(default_factory=threading.Event)
    cut: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(self.relay) as far:
            up = threading.Thread(target=self._pass_on, args=(near, far), daemon=True)
            up.start()
            with suppress(OSError):
                while data := far.recv(256 * 1024):
                    self.came += len(data)
                    near.sendall(data)
                    if self.until_came is not None and self.came >= self.until_came:
                        self.full.set()
                        self.cut.wait()
                        break
            _hang_up(near, far)
            up.join()

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := near.recv(16 * 1024):
                far.sendall(data)
                self.went += len(data)
                if self.until is not None and self.went >= self.until:
                    self.full.set()
                    self.cut.wait()
                    break
        _hang_up(near, far)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
