"""The child process that decodes one clip or sound.

It imports decoders, confines itself, and answers once.
"""

import sys
import warnings
from collections.abc import Callable, Iterator

from entrenous.base.audio_video import FrameSelection
from entrenous.base.errors import EntrenousError
from entrenous.media.clip_reader import read_clip
from entrenous.media.sandbox.confinement import (
    REQUEST_FD,
    confine_process,
    import_late_pyav_modules,
    read_from,
    reserve_answer_fd,
    write_to,
)
from entrenous.media.sandbox.decoder_messages import (
    CLIP_REQUEST,
    SOUND_REQUEST,
    write_clip_answer,
    write_clip_failure,
    write_ready_message,
    write_sound_answer,
    write_sound_failure,
)
from entrenous.media.sound_reader import read_sound


def main(answer: Callable[[], Iterator[bytes]], memory_bytes: int, cpu_s: int) -> None:
    answers = reserve_answer_fd()
    warnings.simplefilter("ignore")  # an untrusted file must not cause warnings to be printed
    import_late_pyav_modules()
    confinement = confine_process(memory_bytes=memory_bytes, cpu_s=cpu_s, threads=False)
    write_to(answers, write_ready_message(confinement))
    for part in answer():
        write_to(answers, part)


def _answer_clip_request() -> Iterator[bytes]:
    size, *cut = CLIP_REQUEST.unpack(read_from(REQUEST_FD, CLIP_REQUEST.size))
    try:
        with read_clip(read_from(REQUEST_FD, size), FrameSelection(*cut)) as clip:
            yield from write_clip_answer(clip)
    except EntrenousError as failure:
        yield write_clip_failure(failure)


def _answer_sound_request() -> Iterator[bytes]:
    size, mono_hz = SOUND_REQUEST.unpack(read_from(REQUEST_FD, SOUND_REQUEST.size))
    try:
        yield from write_sound_answer(read_sound(read_from(REQUEST_FD, size), mono_hz))
    except EntrenousError as failure:
        yield write_sound_failure(failure)


if __name__ == "__main__":
    main(
        {"clip": _answer_clip_request, "sound": _answer_sound_request}[sys.argv[1]],
        int(sys.argv[2]),
        int(sys.argv[3]),
    )
