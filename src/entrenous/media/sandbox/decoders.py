"""Decode an untrusted picture, clip or sound in a confined child process."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from entrenous.base.audio_video import Clip, DamagedClip, DamagedSound, Frame, FrameSelection, Sound
from entrenous.base.picture import NotAPicture, Picture, PictureDecodingFailed, PictureFormat
from entrenous.media.completeness import clip_container_of
from entrenous.media.file_kind import picture_format_of
from entrenous.media.sandbox.child_process import Child, start_child
from entrenous.media.sandbox.confinement import Confinement, Limits
from entrenous.media.sandbox.decoder_messages import (
    PICTURE_REQUEST,
    SOUND_REQUEST,
    read_clip_answer,
    read_picture_answer,
    read_sound_answer,
    sound_container_of,
    write_clip_request_header,
)

_PICTURE_CHILD_COMMAND: Final = (
    sys.executable,
    "-I",
    "-B",
    "-m",
    "entrenous.media.sandbox.picture_child",
)
_PICTURE_LIMITS: Final = Limits()


def decode_picture_untrusted(
    untrusted_data: bytes, *, limits: Limits = _PICTURE_LIMITS, at_least_px: int = 0
) -> Picture:
    """Do the same as :func:`.picture_reader.read_picture`, in a child that exits after one answer.

    Raises:
        NotAPicture, IncompletePicture, TooManyPixels: as :func:`.picture_reader.read_picture`.
        PictureDecodingFailed: the file is damaged, or the child ran out of time or memory, died, or
            sent an invalid answer.
        DecoderDidNotStart: no child could be started.
    """
    kind = picture_format_of(untrusted_data)
    with PictureDecoder(limits=limits, kinds=(kind,), pictures_per_child=1) as decoder:
        return decoder.read(untrusted_data, at_least_px=at_least_px)


class PictureDecoder:
    """A child that decodes several pictures, for one thread at a time.

    This avoids starting an interpreter for each picture. But a picture that takes over the child
    could change the answers for later pictures. So the child is replaced after
    ``pictures_per_child`` pictures, and immediately if it dies, runs out of time or memory, or
    sends an invalid answer.
    """

    def __init__(
        self,
        *,
        limits: Limits = _PICTURE_LIMITS,
        kinds: Sequence[PictureFormat] = tuple(PictureFormat),
        pictures_per_child: int = 32,
        command: Sequence[str] = _PICTURE_CHILD_COMMAND,
    ) -> None:
        self._limits = limits
        self._pictures_per_child = pictures_per_child
        cpu_s = limits.cpu_s * pictures_per_child
        self._kinds = frozenset(kinds)
        self._command = (*command, str(limits.memory_bytes), str(cpu_s), *kinds)
        self._child: Child | None = None
        self._answered = 0

    def __enter__(self) -> Self:
        self._current_or_new_child()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def confinement(self) -> Confinement:
        """The restrictions in force for the current child."""
        return self._current_or_new_child().confinement

    def read(self, untrusted_data: bytes, *, at_least_px: int = 0) -> Picture:
        """Do the same as :func:`decode_picture_untrusted`, with the current child or a new one.

        Raises:
            NotAPicture: the file is not a picture, or its format is not in ``kinds``.
        """
        kind = picture_format_of(untrusted_data)
        if kind not in self._kinds:
            raise NotAPicture
        child = self._current_or_new_child()
        try:
            child.set_deadline(self._limits.wall_s)
            child.write(PICTURE_REQUEST.pack(len(untrusted_data), at_least_px, False))
            child.write(untrusted_data)
            return read_picture_answer(child.read, kind)
        except (OSError, EOFError, ValueError, MemoryError) as error:
            self.close()
            raise PictureDecodingFailed from error
        finally:
            self._answered += 1

    def close(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def _current_or_new_child(self) -> Child:
        if self._child is not None and (
            self._answered >= self._pictures_per_child or not self._child.is_idle()
        ):
            self.close()
        if self._child is None:
            self._child = start_child(self._command, self._limits.wall_s)
            self._answered = 0
        return self._child


_TRACK_CHILD_COMMAND: Final = (
    sys.executable,
    "-I",
    "-B",
    "-m",
    "entrenous.media.sandbox.track_child",
)
_CLIP_LIMITS: Final = Limits(memory_bytes=3 << 30, cpu_s=3600, wall_s=30.0)
_ALL_FRAMES: Final = FrameSelection()
_CHILD_FAILURE_EXCEPTIONS: Final = (OSError, EOFError, ValueError, MemoryError)


@contextmanager
def decode_clip_untrusted(
    untrusted_data: bytes,
    selection: FrameSelection = _ALL_FRAMES,
    *,
    limits: Limits = _CLIP_LIMITS,
    command: Sequence[str] = (*_TRACK_CHILD_COMMAND, "clip"),
) -> Iterator[Clip]:
    """Do the same as :func:`.clip_reader.read_clip`, in a child process.

    ``limits.wall_s`` applies to each frame, and ``limits.cpu_s`` to the whole clip.

    Raises:
        NoVideoFound, IncompleteClip, FramesTooLarge, ClipTooLong: as
            :func:`.clip_reader.read_clip`.
        DamagedClip: the file is damaged, or the child ran out of time or memory, or sent an invalid
            answer. This may be raised during iteration.
        DecoderDidNotStart: no child could be started.
    """
    clip_container_of(untrusted_data)
    full_command = (*command, str(limits.memory_bytes), str(limits.cpu_s))
    child = start_child(full_command, limits.wall_s)
    try:
        clip = _request_clip(child, untrusted_data, selection, limits.wall_s)
        yield Clip(clip.shown, _with_deadlines(child, clip.frames, limits.wall_s))
    finally:
        child.end()


def _request_clip(
    child: Child, untrusted_data: bytes, selection: FrameSelection, wall_s: float
) -> Clip:
    child.set_deadline(wall_s)
    try:
        child.write(write_clip_request_header(untrusted_data, selection))
        child.write(untrusted_data)
        return read_clip_answer(child.read)
    except _CHILD_FAILURE_EXCEPTIONS as error:
        raise DamagedClip from error


def _with_deadlines(child: Child, frames: Iterator[Frame], wall_s: float) -> Iterator[Frame]:
    while True:
        child.set_deadline(wall_s)
        try:
            frame = next(frames, None)
        except _CHILD_FAILURE_EXCEPTIONS as error:
            raise DamagedClip from error
        if frame is None:
            return
        yield frame


_SOUND_LIMITS: Final = Limits(memory_bytes=3 << 30, cpu_s=60, wall_s=90.0)


def decode_sound_untrusted(
    untrusted_data: bytes,
    mono_hz: int = 0,
    *,
    limits: Limits = _SOUND_LIMITS,
    command: Sequence[str] = (*_TRACK_CHILD_COMMAND, "sound"),
) -> Sound:
    """Do the same as :func:`.sound_reader.read_sound`, in a child that exits after one answer.

    Raises:
        NoSoundFound, UnsupportedSoundCodec, SoundTooLong: as :func:`.sound_reader.read_sound`.
        DamagedSound: the file is damaged, or the child ran out of time or memory, or sent an
            invalid answer.
        DecoderDidNotStart: no child could be started.
    """
    sound_container_of(untrusted_data)
    child = start_child((*command, str(limits.memory_bytes), str(limits.cpu_s)), limits.wall_s)
    try:
        child.set_deadline(limits.wall_s)
        child.write(SOUND_REQUEST.pack(len(untrusted_data), mono_hz))
        child.write(untrusted_data)
        return read_sound_answer(child.read, mono_hz)
    except (OSError, EOFError, ValueError, MemoryError) as error:
        raise DamagedSound from error
    finally:
        child.end()
