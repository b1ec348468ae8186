"""The child process: load the decoders, build the walls, then answer file after file.

``jail.py`` starts it as ``python -I -m entrenous.craft.media.jailed.child MEMORY CPU_S KIND...``.
A file comes in on standard input, its answer leaves on standard output; there is nothing else.
"""

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Final

from entrenous.craft.media.jailed.answer import (
    QUESTION,
    write_answer,
    write_failure,
    write_ready,
)
from entrenous.craft.media.jailed.walls import build_walls
from entrenous.craft.media.picture import load_decoder, read_picture
from entrenous.model.errors import EntrenousError
from entrenous.model.picture import PictureFormat

_THREADED: Final = frozenset({PictureFormat.HEIC})  # libde265 starts its threads whatever one asks
# Pillow imports these when a file first needs them: too late, once no file can be opened.
_LATE_IMPORTS: Final = ("PIL.ImageColor", "PIL.ImagePalette", "PIL.TiffImagePlugin")
_PART_BYTES: Final = 1 << 20


def main(memory_bytes: int, cpu_s: int, kinds: list[PictureFormat]) -> None:
    """Answer until standard input ends."""
    questions, answers = 0, os.dup(1)
    os.dup2(2, 1)  # what a library prints must not become part of an answer
    for kind in kinds:
        _load(kind)
    walls = build_walls(
        memory_bytes=memory_bytes, cpu_s=cpu_s, threads=not _THREADED.isdisjoint(kinds)
    )
    _write(answers, write_ready(walls))
    while head := _read(questions, QUESTION.size):
        for part in _answer(_read(questions, *QUESTION.unpack(head))):
            _write(answers, part)


def _load(kind: PictureFormat) -> None:
    load_decoder(kind)
    for module in _LATE_IMPORTS:
        import_module(module)
    if kind is PictureFormat.AVIF:  # one thread is no thread: then none need be allowed
        import_module("PIL.AvifImagePlugin").DEFAULT_MAX_THREADS = 1  # type: ignore[attr-defined]


def _answer(untrusted_data: bytes) -> Iterator[bytes]:
    try:
        picture = read_picture(untrusted_data)
    except EntrenousError as failure:
        yield write_failure(failure)
        return
    yield from write_answer(picture)


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
    main(int(sys.argv[1]), int(sys.argv[2]), [PictureFormat(kind) for kind in sys.argv[3:]])
