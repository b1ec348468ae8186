"""Decode sounds that strangers made, in a child process that can do nothing but decode.

The walls are those of pictures (:mod:`entrenous.craft.media.jail`); one child serves one sound.
"""

import sys
from collections.abc import Sequence
from typing import Final

from entrenous.craft.media.jailed.pipe import start_child
from entrenous.craft.media.jailed.walls import Limits
from entrenous.craft.media.sound.answer import QUESTION, read_answer
from entrenous.craft.media.sound.container import container_of
from entrenous.model.sound import Sound, SoundBroken

_CHILD: Final = (sys.executable, "-I", "-B", "-m", "entrenous.craft.media.sound.child")
_LIMITS: Final = Limits(memory_bytes=3 << 30, cpu_s=60, wall_s=90.0)


def decode_sound_untrusted(
    untrusted_data: bytes,
    mono_hz: int = 0,
    *,
    limits: Limits = _LIMITS,
    command: Sequence[str] = _CHILD,
) -> Sound:
    """Like :func:`.read.read_sound`, in a child of its own that ends with the answer.

    Raises:
        NotASound, SoundUnknown, SoundTooLong: as :func:`.read.read_sound`.
        SoundBroken: the file is broken, or the child ran out of time or memory, or answered
            nonsense.
        DecoderDidNotStart: there is no child to ask.
    """
    container_of(untrusted_data)
    child = start_child((*command, str(limits.memory_bytes), str(limits.cpu_s)), limits.wall_s)
    try:
        child.allow(limits.wall_s)
        child.write(QUESTION.pack(len(untrusted_data), mono_hz))
        child.write(untrusted_data)
        return read_answer(child.read, mono_hz)
    except (OSError, EOFError, ValueError, MemoryError) as error:
        raise SoundBroken from error
    finally:
        child.end()
