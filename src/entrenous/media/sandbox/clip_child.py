"""The child process that decodes one clip: import decoders, confine itself, answer once."""

import sys
import warnings
from collections.abc import Iterator

from entrenous.base.audio_video import Cut
from entrenous.base.errors import EntrenousError
from entrenous.media.clip_reader import read_clip
from entrenous.media.sandbox.confinement import (
    QUESTIONS,
    confine_process,
    import_late,
    read_from,
    set_answers_apart,
    write_to,
)
from entrenous.media.sandbox.decoder_messages import (
    CLIP_QUESTION,
    write_clip_answer,
    write_clip_failure,
    write_ready,
)


def main(memory_bytes: int, cpu_s: int) -> None:
    answers = set_answers_apart()
    warnings.simplefilter("ignore")  # an untrusted file must not print warnings
    import_late()
    walls = confine_process(memory_bytes=memory_bytes, cpu_s=cpu_s, threads=False)
    write_to(answers, write_ready(walls))
    size, *which = CLIP_QUESTION.unpack(read_from(QUESTIONS, CLIP_QUESTION.size))
    for part in _answer(read_from(QUESTIONS, size), Cut(*which)):
        write_to(answers, part)


def _answer(untrusted_data: bytes, cut: Cut) -> Iterator[bytes]:
    try:
        with read_clip(untrusted_data, cut) as clip:
            yield from write_clip_answer(clip)
    except EntrenousError as failure:
        yield write_clip_failure(failure)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
