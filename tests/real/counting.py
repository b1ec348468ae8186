"""A TCP proxy that counts the bytes to and from a relay, and can cut a transfer off."""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class CountingProxy:
    """A proxy that counts the bytes that clients send to the relay and receive from it.

    After ``sent_bytes_max`` or ``received_bytes_max`` bytes, the proxy sets ``limit_reached``,
    stops forwarding in that direction, waits until ``cut`` is set, and closes the connection.
    """

    relay_address: tuple[str, int]
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    received_bytes: int = 0
    sent_bytes: int = 0
    sent_bytes_max: int | None = None
    received_bytes_max: int | None = None
    limit_reached: threading.Event = field(default_factory=threading.Event)
    cut: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.relay_address) as server:
            up = threading.Thread(target=self._forward_to_relay, args=(client, server), daemon=True)
            up.start()
            with suppress(OSError):
                while data := server.recv(256 * 1024):
                    self.received_bytes += len(data)
                    client.sendall(data)
                    if (
                        self.received_bytes_max is not None
                        and self.received_bytes >= self.received_bytes_max
                    ):
                        self.limit_reached.set()
                        self.cut.wait()
                        break
            _shut_down(client, server)
            up.join()

    def _forward_to_relay(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(16 * 1024):
                server.sendall(data)
                self.sent_bytes += len(data)
                if self.sent_bytes_max is not None and self.sent_bytes >= self.sent_bytes_max:
                    self.limit_reached.set()
                    self.cut.wait()
                    break
        _shut_down(client, server)


def _shut_down(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
