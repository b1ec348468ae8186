"""A process that forks one confined checker per file and never reads a file itself."""

import sys
import warnings
from typing import Final

from entrenous.base.picture import PictureFormat
from entrenous.media.copies.copy_check import (
    CHECK_REQUEST,
    COPY_ANSWER,
    HEARTBEAT,
    NOT_A_COPY_ANSWER,
    STRUCTURE_CHECKS_AND_DECODERS,
    DecoderKind,
    check_copy,
    load_copy_decoder,
)
from entrenous.media.copies.cursor import NotACopy
from entrenous.media.sandbox.confinement import (
    REQUEST_FD,
    import_late_pyav_modules,
    read_from,
    write_to,
)
from entrenous.media.sandbox.fork_server import serve_forks
from entrenous.media.sandbox.picture_child import prepare_picture_decoder

_COPY_PICTURE_FORMATS: Final = (PictureFormat.JPEG, PictureFormat.PNG, PictureFormat.WEBP)


def main(memory_bytes: int, cpu_s: int, decoders: DecoderKind) -> None:
    warnings.simplefilter("ignore")  # an untrusted file must not cause warnings to be printed
    load_copy_decoder(decoders)
    if decoders is DecoderKind.PICTURE:
        for kind in _COPY_PICTURE_FORMATS:
            prepare_picture_decoder(kind)
    else:
        import_late_pyav_modules()
    serve_forks(memory_bytes, cpu_s, _answer_request, threads=False)


def _answer_request(answers: int) -> None:
    place, size = CHECK_REQUEST.unpack(read_from(REQUEST_FD, CHECK_REQUEST.size))
    media_type = list(STRUCTURE_CHECKS_AND_DECODERS)[place]
    try:
        for _ in check_copy(read_from(REQUEST_FD, size), media_type):
            write_to(answers, HEARTBEAT)
    except NotACopy:
        write_to(answers, NOT_A_COPY_ANSWER)
    else:
        write_to(answers, COPY_ANSWER)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), DecoderKind(sys.argv[3]))
