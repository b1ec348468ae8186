"""Decode what many strangers send at once, in children that are forked and not started.

As :func:`.jail.decode_untrusted` with a child for each picture: what one does to its child, the
next one's child does not see. A child may be kept for a few pictures where that is too slow. The
process that forks them never reads one (:mod:`.jailed.forks`).
"""

import sys
import threading
from collections.abc import Sequence
from typing import Final, Self

from entrenous.craft.media.jailed.answer import QUESTION, read_answer
from entrenous.craft.media.jailed.forked import ForkServer
from entrenous.craft.media.jailed.walls import Limits
from entrenous.craft.media.kind import kind_of
from entrenous.model.errors import EntrenousError
from entrenous.model.picture import DecoderDidNotStart, DecoderGaveUp, Picture, PictureFormat

_SERVER: Final = (sys.executable, "-I", "-B", "-m", "entrenous.craft.media.jailed.forks")
_LIMITS: Final = Limits()
_KEPT_AFTER_BYTES: Final = 16 << 20  # of samples: who has had more in memory is not kept
_CHILDREN_MAX: Final = 1000  # then another server is started, whose memory lies elsewhere


class Jails:
    """Safe to use from several threads: each takes a server that is idle, or starts one.

    A child that reported a broken file, or did anything odd, is given no other picture; nor is one
    that has seen ``pictures_per_child``. A server is replaced after any trouble, and after
    ``children_max``: the children of one know how its memory is laid out.
    """

    def __init__(
        self,
        *,
        limits: Limits = _LIMITS,
        pictures_per_child: int = 1,
        children_max: int = _CHILDREN_MAX,
        command: Sequence[str] = _SERVER,
    ) -> None:
        self._limits, self._children_max = limits, children_max
        self._pictures_per_child = pictures_per_child
        cpu_s = limits.cpu_s * pictures_per_child
        self._command = (*command, str(limits.memory_bytes), str(cpu_s))
        self._idle: dict[PictureFormat, list[ForkServer]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, untrusted_data: bytes, *, at_least_px: int = 0, luma: bool = False) -> Picture:
        """As :func:`.picture.read_picture`, in a child.

        Raises:
            NotAPicture, CutShort, TooManyPixels: as :func:`.picture.read_picture`.
            DecoderGaveUp: the child ran out of time or memory, died, or answered nonsense.
            DecoderDidNotStart: there is no child to ask.
        """
        kind = kind_of(untrusted_data)
        server = self._taken(kind)
        try:
            child = server.child(self._limits.wall_s)
            child.allow(self._limits.wall_s)
            child.write(QUESTION.pack(len(untrusted_data), at_least_px, luma))
            child.write(untrusted_data)
            picture = read_answer(child.read, kind, luma=luma)
            if len(picture.samples) > _KEPT_AFTER_BYTES:
                server.drop()
        except DecoderDidNotStart:
            server.end()
            raise
        except EntrenousError:
            server.drop()  # an odd file is the last that a child sees
            self._put_back(kind, server)
            raise
        except (OSError, EOFError, ValueError, MemoryError) as error:
            server.end()
            raise DecoderGaveUp from error
        self._put_back(kind, server)
        return picture

    def close(self) -> None:
        """End all servers; one that is at work ends with its picture."""
        with self._lock:
            self._closed = True
            every = [server for idle in self._idle.values() for server in idle]
            self._idle.clear()
        for server in every:
            server.end()

    def _taken(self, kind: PictureFormat) -> ForkServer:
        while (server := self._idle_one(kind)) is not None:
            if server.alive():
                return server
            server.end()
        return ForkServer((*self._command, kind), self._pictures_per_child)

    def _idle_one(self, kind: PictureFormat) -> ForkServer | None:
        with self._lock:
            idle = self._idle.get(kind)
            return idle.pop() if idle else None

    def _put_back(self, kind: PictureFormat, server: ForkServer) -> None:
        with self._lock:
            keeps = not self._closed and server.served < self._children_max
            if keeps:
                self._idle.setdefault(kind, []).append(server)
        if not keeps:
            server.end()
