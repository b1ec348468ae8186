"""A process that never sees a received file, and forks the children that check one each.

    python -I -B -m entrenous.craft.media.copies.forks MEMORY CPU_S DECODERS

As :mod:`entrenous.craft.media.jailed.forks`, whose walls are these children's, too. A question is
the place of the media type in ``FORMS``, the file's length and the file. The answer is any number
of beats, and then whether it is a copy.
"""

import sys
import warnings
from typing import Final

from entrenous.craft.media.copies.check import (
    BEAT,
    COPY,
    FORMS,
    NO_COPY,
    QUESTION,
    Decoders,
    check_copy,
    loaded,
)
from entrenous.craft.media.jailed.child import load
from entrenous.craft.media.jailed.ends import QUESTIONS, read_from, write_to
from entrenous.craft.media.jailed.forks import serve
from entrenous.craft.media.jailed.late import import_late
from entrenous.model.picture import PictureFormat
from entrenous.model.received import NotACopy

_STILLS: Final = (PictureFormat.JPEG, PictureFormat.PNG, PictureFormat.WEBP)


def main(memory_bytes: int, cpu_s: int, decoders: Decoders) -> None:
    """Fork until the socket is closed."""
    warnings.simplefilter("ignore")  # a stranger's file does not speak to the person
    loaded(decoders)
    if decoders is Decoders.STILL:
        for kind in _STILLS:
            load(kind)
    else:
        import_late()
    serve(memory_bytes, cpu_s, _answer, threads=False)


def _answer(answers: int) -> None:
    """Answer one question."""
    place, size = QUESTION.unpack(read_from(QUESTIONS, QUESTION.size))
    media_type = list(FORMS)[place]
    try:
        for _ in check_copy(read_from(QUESTIONS, size), media_type):
            write_to(answers, BEAT)
    except NotACopy:
        write_to(answers, NO_COPY)
    else:
        write_to(answers, COPY)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Decoders(sys.argv[3]))
