"""The child process that decodes one clip: load the decoders, build the walls, answer once.

``jail.py`` starts it as ``python -I -m entrenous.craft.media.clip.child MEMORY CPU_S``. The file
comes in on standard input, its frames leave on standard output; there is nothing else.
"""

import sys
import warnings
from collections.abc import Iterator

from entrenous.craft.media.clip.answer import QUESTION, write_answer, write_failure
from entrenous.craft.media.clip.read import read_clip
from entrenous.craft.media.jailed.answer import write_ready
from entrenous.craft.media.jailed.ends import (
    QUESTIONS,
    read_from,
    set_answers_apart,
    write_to,
)
from entrenous.craft.media.jailed.late import import_late
from entrenous.craft.media.jailed.walls import build_walls
from entrenous.model.clip import Cut
from entrenous.model.errors import EntrenousError


def main(memory_bytes: int, cpu_s: int) -> None:
    """Answer one question, then end."""
    answers = set_answers_apart()
    warnings.simplefilter("ignore")  # a stranger's file does not speak to the person
    import_late()
    walls = build_walls(memory_bytes=memory_bytes, cpu_s=cpu_s, threads=False)
    write_to(answers, write_ready(walls))
    size, *which = QUESTION.unpack(read_from(QUESTIONS, QUESTION.size))
    for part in _answer(read_from(QUESTIONS, size), Cut(*which)):
        write_to(answers, part)


def _answer(untrusted_data: bytes, cut: Cut) -> Iterator[bytes]:
    try:
        with read_clip(untrusted_data, cut) as clip:
            yield from write_answer(clip)
    except EntrenousError as failure:
        yield write_failure(failure)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
