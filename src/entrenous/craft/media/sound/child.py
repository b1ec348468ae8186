"""The child process that decodes one sound: load the decoders, build the walls, answer once.

``jail.py`` starts it as ``python -I -m entrenous.craft.media.sound.child MEMORY CPU_S``. The file
comes in on standard input, its samples leave on standard output; there is nothing else.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Final

from entrenous.craft.media.jailed.answer import write_ready
from entrenous.craft.media.jailed.walls import build_walls
from entrenous.craft.media.sound.answer import QUESTION, write_answer, write_failure
from entrenous.craft.media.sound.read import read_sound
from entrenous.model.errors import EntrenousError

_LATE_IMPORTS: Final = ("av.subtitles.stream",)  # PyAV imports it when it opens the first file
_PART_BYTES: Final = 1 << 20


def main(memory_bytes: int, cpu_s: int) -> None:
    """Answer one question, then end."""
    questions, answers = 0, os.dup(1)
    os.dup2(2, 1)  # what a library prints must not become part of an answer
    warnings.simplefilter("ignore")  # a stranger's file does not speak to the person
    for module in _LATE_IMPORTS:
        import_module(module)
    walls = build_walls(memory_bytes=memory_bytes, cpu_s=cpu_s, threads=False)
    _write(answers, write_ready(walls))
    (size,) = QUESTION.unpack(_read(questions, QUESTION.size))
    for part in _answer(_read(questions, size)):
        _write(answers, part)


def _answer(untrusted_data: bytes) -> Iterator[bytes]:
    try:
        sound = read_sound(untrusted_data)
    except EntrenousError as failure:
        yield write_failure(failure)
        return
    yield from write_answer(sound)


def _read(descriptor: int, size: int) -> bytes:
    """``size`` bytes, or fewer when the input ends before."""
    data = bytearray()
    while len(data) < size and (part := os.read(descriptor, min(_PART_BYTES, size - len(data)))):
        data += part
    return bytes(data)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
