"""Decode clips that strangers made, in a child process that can do nothing but decode.

The walls are those of pictures (:mod:`entrenous.craft.media.jail`). One child serves one walk
through one clip: it waits while its reader works, and is ended with the walk, however that ends.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from entrenous.craft.media.clip.answer import read_answer, write_question
from entrenous.craft.media.clip.whole import container_of
from entrenous.craft.media.jailed.pipe import Child, start_child
from entrenous.craft.media.jailed.walls import Limits
from entrenous.model.clip import Clip, ClipBroken, Cut, Frame

_CHILD: Final = (sys.executable, "-I", "-B", "-m", "entrenous.craft.media.clip.child")
_LIMITS: Final = Limits(memory_bytes=3 << 30, cpu_s=3600, wall_s=30.0)
_EVERYTHING: Final = Cut()
_UNSOUND: Final = (OSError, EOFError, ValueError, MemoryError)


@contextmanager
def decode_clip_untrusted(
    untrusted_data: bytes,
    cut: Cut = _EVERYTHING,
    *,
    limits: Limits = _LIMITS,
    command: Sequence[str] = _CHILD,
) -> Iterator[Clip]:
    """Like :func:`.read.read_clip`, in a child of its own.

    ``limits.wall_s`` is the longest wait for one frame, ``limits.cpu_s`` counts for the whole clip.

    Raises:
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong: as :func:`.read.read_clip`.
        ClipBroken: the file is broken, or the child ran out of time or memory, or answered
            nonsense; perhaps not before frames are walked.
        DecoderDidNotStart: there is no child to ask.
    """
    container_of(untrusted_data)
    asked = (*command, str(limits.memory_bytes), str(limits.cpu_s))
    child = start_child(asked, limits.wall_s)
    try:
        clip = _ask(child, untrusted_data, cut, limits.wall_s)
        yield Clip(clip.shown, _walked(child, clip.frames, limits.wall_s))
    finally:
        child.end()


def _ask(child: Child, untrusted_data: bytes, cut: Cut, wall_s: float) -> Clip:
    child.allow(wall_s)
    try:
        child.write(write_question(untrusted_data, cut))
        child.write(untrusted_data)
        return read_answer(child.read)
    except _UNSOUND as error:
        raise ClipBroken from error


def _walked(child: Child, frames: Iterator[Frame], wall_s: float) -> Iterator[Frame]:
    while True:
        child.allow(wall_s)
        try:
            frame = next(frames, None)
        except _UNSOUND as error:
            raise ClipBroken from error
        if frame is None:
            return
        yield frame
