"""The child process that decodes pictures: it imports decoders, confines itself, and answers."""

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Final

from entrenous.base.errors import EntrenousError
from entrenous.base.picture import PictureFormat
from entrenous.media.picture_reader import load_pillow_decoder, read_picture
from entrenous.media.sandbox.confinement import (
    REQUEST_FD,
    confine_process,
    keep_freed_memory,
    read_from,
    reserve_answer_fd,
    write_to,
)
from entrenous.media.sandbox.decoder_messages import (
    PICTURE_REQUEST,
    write_picture_answer,
    write_picture_failure,
    write_ready_message,
)

THREADED_FORMATS: Final = frozenset({PictureFormat.HEIC})  # libde265 always starts threads
# Pillow keeps this many cleared blocks of memory for the next picture
_BLOCKS_KEPT_MAX: Final = 4
_BLOCK_BYTES: Final = 4 << 20  # large enough for a megapixel in one block
# Pillow imports these modules on first use, which is too late in the sandbox.
_LATE_IMPORTS: Final = ("PIL.ImageColor", "PIL.ImagePalette", "PIL.TiffImagePlugin")


def main(memory_bytes: int, cpu_s: int, kinds: list[PictureFormat]) -> None:
    answers = reserve_answer_fd()
    for kind in kinds:
        prepare_picture_decoder(kind)
    confinement = confine_process(
        memory_bytes=memory_bytes, cpu_s=cpu_s, threads=not THREADED_FORMATS.isdisjoint(kinds)
    )
    write_to(answers, write_ready_message(confinement))
    answer_requests(answers)


def prepare_picture_decoder(kind: PictureFormat) -> None:
    """Load a decoder with its late imports, and set up memory allocation."""
    load_pillow_decoder(kind)
    for module in _LATE_IMPORTS:
        import_module(module)
    import_module("PIL.ImageFile").MAXBLOCK = _BLOCK_BYTES  # type: ignore[attr-defined]
    import_module("PIL.Image").core.set_blocks_max(_BLOCKS_KEPT_MAX)
    keep_freed_memory()
    if kind is PictureFormat.AVIF:  # with 1, no thread is started, so threads can be forbidden
        import_module("PIL.AvifImagePlugin").DEFAULT_MAX_THREADS = 1  # type: ignore[attr-defined]


def answer_requests(answers: int) -> None:
    """Answer requests until standard input ends."""
    while head := read_from(REQUEST_FD, PICTURE_REQUEST.size):
        size, at_least_px, luma = PICTURE_REQUEST.unpack(head)
        for part in answer_request(read_from(REQUEST_FD, size), at_least_px, luma=luma):
            write_to(answers, part)


def answer_request(untrusted_data: bytes, at_least_px: int, *, luma: bool) -> Iterator[bytes]:
    try:
        picture = read_picture(untrusted_data, at_least_px=at_least_px, luma=luma)
    except EntrenousError as failure:
        yield write_picture_failure(failure)
        return
    yield from write_picture_answer(picture)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [PictureFormat(kind) for kind in sys.argv[3:]])
