"""The child process that decodes one sound: import decoders, confine itself, answer once."""

import sys
import warnings
from collections.abc import Iterator

from entrenous.base.errors import EntrenousError
from entrenous.media.sandbox.confinement import (
    QUESTIONS,
    confine_process,
    import_late,
    read_from,
    set_answers_apart,
    write_to,
)
from entrenous.media.sandbox.decoder_messages import (
    SOUND_QUESTION,
    write_ready,
    write_sound_answer,
    write_sound_failure,
)
from entrenous.media.sound_reader import read_sound


def main(memory_bytes: int, cpu_s: int) -> None:
    answers = set_answers_apart()
    warnings.simplefilter("ignore")  # an untrusted file must not print warnings
    import_late()
    walls = confine_process(memory_bytes=memory_bytes, cpu_s=cpu_s, threads=False)
    write_to(answers, write_ready(walls))
    size, mono_hz = SOUND_QUESTION.unpack(read_from(QUESTIONS, SOUND_QUESTION.size))
    for part in _answer(read_from(QUESTIONS, size), mono_hz):
        write_to(answers, part)


def _answer(untrusted_data: bytes, mono_hz: int) -> Iterator[bytes]:
    try:
        sound = read_sound(untrusted_data, mono_hz)
    except EntrenousError as failure:
        yield write_sound_failure(failure)
        return
    yield from write_sound_answer(sound)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
