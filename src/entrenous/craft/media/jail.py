"""Decode what strangers made, in a child process that can do nothing but decode.

Image decoders are large C libraries, and a picture made with care can take one over. So each file
is decoded in a fresh interpreter with an empty environment, no files, no network and bounded memory
and time; only pixels come back (docs/spec/pictures.md, sections 6 and 7). The walls are listed in
:class:`.jailed.walls.Wall`; :attr:`Jail.walls` says which of them this system could build.
"""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from entrenous.craft.media.jailed.answer import QUESTION, read_answer
from entrenous.craft.media.jailed.pipe import Child, start_child
from entrenous.craft.media.jailed.walls import Limits, Wall
from entrenous.craft.media.kind import kind_of
from entrenous.model.picture import (
    DecoderGaveUp,
    NotAPicture,
    Picture,
    PictureFormat,
)

_CHILD: Final = (sys.executable, "-I", "-B", "-m", "entrenous.craft.media.jailed.child")
_LIMITS: Final = Limits()


def decode_untrusted(
    untrusted_data: bytes, *, limits: Limits = _LIMITS, at_least_px: int = 0
) -> Picture:
    """Like :func:`.picture.read_picture`, in a child of its own that ends with the answer.

    Raises:
        NotAPicture, CutShort, TooManyPixels: as :func:`.picture.read_picture`.
        DecoderGaveUp: the child ran out of time or memory, died, or answered nonsense.
        DecoderDidNotStart: there is no child to ask.
    """
    kind = kind_of(untrusted_data)
    with Jail(limits=limits, kinds=(kind,), pictures_per_child=1) as jail:
        return jail.read(untrusted_data, at_least_px=at_least_px)


class Jail:
    """A warm child for many pictures, for one thread at a time.

    It saves the start of an interpreter; the price is that a picture which takes the child over
    could change the answers about the next ones. So a child is replaced after
    ``pictures_per_child`` pictures, and at once after any trouble.
    """

    def __init__(
        self,
        *,
        limits: Limits = _LIMITS,
        kinds: Sequence[PictureFormat] = tuple(PictureFormat),
        pictures_per_child: int = 32,
        command: Sequence[str] = _CHILD,
    ) -> None:
        self._limits = limits
        self._pictures_per_child = pictures_per_child
        cpu_s = limits.cpu_s * pictures_per_child
        self._kinds = frozenset(kinds)
        self._command = (*command, str(limits.memory_bytes), str(cpu_s), *kinds)
        self._child: Child | None = None
        self._answered = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def walls(self) -> Wall:
        """What stands around the present child."""
        return self._start().walls

    def read(self, untrusted_data: bytes, *, at_least_px: int = 0) -> Picture:
        """As :func:`decode_untrusted`, with the present child or a new one.

        A file of a kind that this jail was not made for is NotAPicture.
        """
        kind = kind_of(untrusted_data)
        if kind not in self._kinds:
            raise NotAPicture
        child = self._start()
        try:
            child.allow(self._limits.wall_s)
            child.write(QUESTION.pack(len(untrusted_data), at_least_px, False))
            child.write(untrusted_data)
            return read_answer(child.read, kind)
        except (OSError, EOFError, ValueError, MemoryError) as error:
            self.close()
            raise DecoderGaveUp from error
        finally:
            self._answered += 1

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _start(self) -> Child:
        if self._child is not None and (
            self._answered >= self._pictures_per_child or not self._child.quiet()
        ):
            self.close()
        if self._child is None:
            self._child = start_child(self._command, self._limits.wall_s)
            self._answered = 0
        return self._child
