"""The child process that decodes one sound: load the decoders, build the walls, answer once.

``jail.py`` starts it as ``python -I -m entrenous.craft.media.sound.child MEMORY CPU_S``. The file
comes in on standard input, its samples leave on standard output; there is nothing else.
"""

import sys
import warnings
from collections.abc import Iterator

from entrenous.craft.media.jailed.answer import write_ready
from entrenous.craft.media.jailed.ends import (
    QUESTIONS,
    read_from,
    set_answers_apart,
    write_to,
)
from entrenous.craft.media.jailed.late import import_late
from entrenous.craft.media.jailed.walls import build_walls
from entrenous.craft.media.sound.answer import QUESTION, write_answer, write_failure
from entrenous.craft.media.sound.read import read_sound
from entrenous.model.errors import EntrenousError


def main(memory_bytes: int, cpu_s: int) -> None:
    """Answer one question, then end."""
    answers = set_answers_apart()
    warnings.simplefilter("ignore")  # a stranger's file does not speak to the person
    import_late()
    walls = build_walls(memory_bytes=memory_bytes, cpu_s=cpu_s, threads=False)
    write_to(answers, write_ready(walls))
    size, mono_hz = QUESTION.unpack(read_from(QUESTIONS, QUESTION.size))
    for part in _answer(read_from(QUESTIONS, size), mono_hz):
        write_to(answers, part)


def _answer(untrusted_data: bytes, mono_hz: int) -> Iterator[bytes]:
    try:
        sound = read_sound(untrusted_data, mono_hz)
    except EntrenousError as failure:
        yield write_failure(failure)
        return
    yield from write_answer(sound)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
