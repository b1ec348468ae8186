"""Check an untrusted file in a confined child process."""

import io
import sys
from collections.abc import Callable
from typing import BinaryIO, Final, Self, cast

from entrenous.media.copies.copy_check import (
    CHECK_REQUEST,
    COPY_ANSWER,
    HEARTBEAT,
    STRUCTURE_CHECKS_AND_DECODERS,
    DecoderKind,
)
from entrenous.media.copies.cursor import NotACopy
from entrenous.media.sandbox.confinement import Limits
from entrenous.media.sandbox.decoder_pool import ForkedChild, ForkServer

_SERVER_COMMAND: Final = (
    sys.executable,
    "-I",
    "-B",
    "-m",
    "entrenous.media.copies.copy_fork_server",
)
_LIMITS_BY_DECODER_KIND: Final = {
    DecoderKind.PICTURE: Limits(cpu_s=60, wall_s=60.0),
    DecoderKind.TRACK: Limits(memory_bytes=3 << 30, cpu_s=3600, wall_s=60.0),
}


class CopyChecker:
    """Checks files one by one, each in a new child process, for one thread at a time.

    In ``_LIMITS_BY_DECODER_KIND``, ``wall_s`` limits the time between two heartbeats, and ``cpu_s``
    the processor time for the whole file. No process is started before the first file.
    """

    def __init__(self) -> None:
        self._servers: dict[DecoderKind, ForkServer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, media_type: str, size: int, fill: Callable[[BinaryIO], None]) -> None:
        """Check that the ``size`` bytes written by ``fill`` are a copy of this media type.

        Raises:
            NotACopy: the bytes are not such a copy, or the child ran out of time or memory, or
                died.
            DecoderDidNotStart: no child could be started.
            The errors that ``fill`` raises.
        """
        if media_type not in STRUCTURE_CHECKS_AND_DECODERS:
            raise NotACopy
        _, decoders = STRUCTURE_CHECKS_AND_DECODERS[media_type]
        limits = _LIMITS_BY_DECODER_KIND[decoders]
        server = self._server(decoders)
        child = server.ready_child(limits.wall_s)
        try:
            to_child = _PipeToChild(child, limits.wall_s)
            to_child.write(
                CHECK_REQUEST.pack(list(STRUCTURE_CHECKS_AND_DECODERS).index(media_type), size)
            )
            fill(cast("BinaryIO", to_child))
            _require_copy_answer(child, limits.wall_s)
        finally:
            server.drop_child()

    def close(self) -> None:
        for server in self._servers.values():
            server.end()
        self._servers.clear()

    def _server(self, decoders: DecoderKind) -> ForkServer:
        server = self._servers.get(decoders)
        if server is not None and server.is_alive():
            return server
        if server is not None:
            server.end()
        limits = _LIMITS_BY_DECODER_KIND[decoders]
        command = (*_SERVER_COMMAND, str(limits.memory_bytes), str(limits.cpu_s), decoders)
        self._servers[decoders] = ForkServer(command)
        return self._servers[decoders]


class _PipeToChild(io.RawIOBase):
    """A file object that writes to a child; if the child stops reading, the file is not a copy."""

    def __init__(self, child: ForkedChild, wall_s: float) -> None:
        super().__init__()
        self._child, self._wall_s = child, wall_s

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._child.set_deadline(self._wall_s)
        try:
            self._child.write(bytes(data))
        except OSError as error:
            raise NotACopy from error
        return len(data)


def _require_copy_answer(child: ForkedChild, wall_s: float) -> None:
    """Wait for the child's answer.

    Raises:
        NotACopy: the child says so, or gives no answer in time.
    """
    try:
        while True:
            child.set_deadline(wall_s)
            word = child.read(1)
            if word == COPY_ANSWER:
                return
            if word != HEARTBEAT:
                raise NotACopy
    except (OSError, EOFError) as error:
        raise NotACopy from error
