"""A process that forks one confined checker per file and never reads a file itself."""

import sys
import warnings
from typing import Final

from entrenous.base.picture import PictureFormat
from entrenous.media.copies.copy_check import (
    BEAT,
    COPY,
    FORMS,
    NO_COPY,
    QUESTION,
    Decoders,
    check_copy,
    load_decoder_module,
)
from entrenous.media.copies.cursor import NotACopy
from entrenous.media.sandbox.confinement import REQUEST_FD, import_late, read_from, write_to
from entrenous.media.sandbox.fork_server import serve
from entrenous.media.sandbox.picture_child import load

_STILLS: Final = (PictureFormat.JPEG, PictureFormat.PNG, PictureFormat.WEBP)


def main(memory_bytes: int, cpu_s: int, decoders: Decoders) -> None:
    warnings.simplefilter("ignore")  # an untrusted file must not print warnings
    load_decoder_module(decoders)
    if decoders is Decoders.STILL:
        for kind in _STILLS:
            load(kind)
    else:
        import_late()
    serve(memory_bytes, cpu_s, _answer, threads=False)


def _answer(answers: int) -> None:
    place, size = QUESTION.unpack(read_from(REQUEST_FD, QUESTION.size))
    media_type = list(FORMS)[place]
    try:
        for _ in check_copy(read_from(REQUEST_FD, size), media_type):
            write_to(answers, BEAT)
    except NotACopy:
        write_to(answers, NO_COPY)
    else:
        write_to(answers, COPY)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Decoders(sys.argv[3]))
