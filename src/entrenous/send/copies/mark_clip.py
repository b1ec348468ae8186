"""Mark copies of a clip, sound track included, for people who get them by another channel."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from entrenous.base.audio_video import (
    ClipTooLongWithSound,
    NotASound,
    Sound,
    SoundTooLong,
    SoundTooShortToMark,
    SoundUnknown,
    TooQuietToMark,
)
from entrenous.base.copies import Copy
from entrenous.base.identifiers import ID_BYTES, BlobId, MessageId, MessageName, RecipientId
from entrenous.base.limits import CLIP_LENGTH_S_MAX, SOUND_CONTEXT, SOUND_LENGTH_S_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import stream
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message, SentClip, SentSound
from entrenous.device.vault_tables import pack
from entrenous.media.clip_writer import SUFFIX, Track
from entrenous.send.copies.clip_copies import (
    ClipOriginal,
    Wanted,
    prepare_clip,
    shown_in,
    write_clips,
)
from entrenous.send.copies.mark_file import MarkedFile, NotWritten, forget_unwritten
from entrenous.send.copies.picture_copies import MadeCopy, new_seed
from entrenous.send.inbox import new_name
from entrenous.send.message.transfer_progress import Reached, unseen, within
from entrenous.watermark.audio_location import contour
from entrenous.watermark.audio_mark import PreparedSound, embed, prepare, stream_bytes

_BATCH_BYTES: Final = 256 * 1024 * 1024  # of originals whose copies are in memory together
_BATCH_MAX: Final = 12
_HEARD: Final = 0.05  # of what preparing takes; the rest is for what is seen
_FRAMES: Final = 0  # places in the message
_SOUND: Final = 1
_NOT_KEPT: Final = BlobId(b"")  # until the first copy is made, nothing is kept
_BATCH_PIXELS: Final = 8_000_000  # of frames in work: an encoder takes 105 bytes for each


def _unseen_walk(_copies: int) -> Reached:
    return unseen


def mark_clip_copies(
    untrusted_data: bytes, to: Sequence[RecipientId], device: Device
) -> Generator[tuple[MessageName, MarkedFile], None, None]:
    """One marked copy after the other; the ledger has each before it is handed over.

    Copies are made in batches: one walk through the original serves up to twelve of them, and no
    more are in memory. Whoever stops early can trace the copies that were handed over, and the
    ledger names no others; nor the last one, where NotWritten is thrown in.

    Raises:
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong, ClipTooLongWithSound, ClipBroken,
        ClipTooSmallToMark.
        SoundUnknown, SoundBroken: its sound track cannot be read.
    """
    original, sound = prepare_with_sound(untrusted_data, device)
    marking = _begun(original, sound, device)
    with closing(clip_copies(original, sound, len(to), device)) as copies:
        for person, made in zip(to, copies, strict=True):
            marking.add(Copy(person, made.seed, made.sha256), device)
            try:
                yield marking.name, MarkedFile(person, made.data, SUFFIX)
            except NotWritten:
                marking.drop_last(device)
                raise


@dataclass(frozen=True, slots=True, eq=False)
class ClipSound:
    """What is heard in a clip; ``prepared`` is None when it is too short or too quiet for a mark,
    and then ``contour`` is empty.
    """

    sound: Sound
    prepared: PreparedSound | None
    contour: bytes

    def track(self, seed: Secret) -> Track:
        """What is heard in one copy, as it lay beside the original's frames."""
        sound = self.sound
        if self.prepared is None:
            return Track(np.asarray(sound), sound.rate_hz, sound.timing)
        size = stream_bytes(len(sound), sound.rate_hz)
        samples = embed(self.prepared, stream(seed, SOUND_CONTEXT, size))
        return Track(np.asarray(samples, np.float32), sound.rate_hz, sound.timing)


def prepare_with_sound(
    untrusted_data: bytes, device: Device, reached: Reached = unseen
) -> tuple[ClipOriginal, ClipSound | None]:
    """A clip and what is heard in it, None when it is silent; ``reached`` is told how far that is.

    Its sound comes first: what refuses it by that is known before its frames are walked, which may
    take an hour.

    Raises:
        NoFrames, before its sound is asked for: it is no clip.
        What :func:`.clip_sound` and :func:`.prepare_clip` raise.
    """
    shown = shown_in(untrusted_data, device)
    sound = clip_sound(untrusted_data, device)
    reached(_HEARD)
    seen = within(reached, _HEARD, 1.0)
    return prepare_clip(untrusted_data, shown, device, seen), sound


def clip_copies(  # noqa: PLR0913, PLR0917 - copies of a clip, and who looks on
    original: ClipOriginal,
    sound: ClipSound | None,
    people: int,
    device: Device,
    room_bytes: int = _BATCH_BYTES,
    begun: Callable[[int], Reached] = _unseen_walk,
) -> Generator[MadeCopy, None, None]:
    """So many copies, one after the other; no more than a batch of them is in memory, which takes
    about ``room_bytes``. ``begun`` is told how many a walk makes, and returns who is told how far
    that walk is.
    """
    size = _batch_size(original, room_bytes)
    for first in range(0, people, size):
        seeds = [new_seed(device) for _ in range(min(size, people - first))]
        tracks = (None if sound is None else sound.track(seed) for seed in seeds)
        wanted = [
            Wanted(seed, track, original.crf) for seed, track in zip(seeds, tracks, strict=True)
        ]
        files = write_clips(original, wanted, device, reached=begun(len(seeds)))[::-1]
        for seed in seeds:
            data = files.pop()
            yield MadeCopy(seed, data, sha256(data))


def sent_clip(original: ClipOriginal) -> SentClip:
    """What the ledger keeps of a clip, before anything of it is kept or copied."""
    return SentClip(
        original=_NOT_KEPT,
        survey=_NOT_KEPT,
        dither=original.dither,
        copies=(),
        width_px=original.shown.width_px,
        height_px=original.shown.height_px,
        length_s=original.camera.length_s,
    )


@dataclass(slots=True)
class _Marking:
    """A message whose copies are being made; ``made`` of them are in the ledger."""

    id: MessageId
    name: MessageName
    at: datetime
    clip: SentClip
    source: bytes
    survey: bytes
    sound: ClipSound | None
    made: int = 0

    def add(self, copy: Copy, device: Device) -> None:
        """Put one more copy into the ledger, the original with the first."""
        with device.vault.together():
            if not self.made:
                self._begin(device)
            device.ledger.add_copies(self.id, _FRAMES, self.made, (copy,))
            if self._is_heard:
                device.ledger.add_copies(self.id, _SOUND, self.made, (copy,))
        self.made += 1

    def drop_last(self, device: Device) -> None:
        """Take out of the ledger what was added last: it was not written."""
        self.made -= 1
        places = (_FRAMES, _SOUND) if self._is_heard else (_FRAMES,)
        forget_unwritten(self.id, places, self.made, device)

    def _begin(self, device: Device) -> None:
        original, survey = device.vault.keep(self.source), device.vault.keep(self.survey)
        clip = replace(self.clip, original=original, survey=survey)
        sounds: tuple[SentSound, ...] = ()
        if self.sound is not None and self._is_heard:  # traced where no picture is left
            contour = device.vault.keep(self.sound.contour)
            sounds = (SentSound(original, contour, self.sound.sound.length_s, ()),)
        device.ledger.record(Message(self.id, self.name, self.at, (), clips=(clip,), sounds=sounds))

    @property
    def _is_heard(self) -> bool:
        return self.sound is not None and bool(self.sound.contour)


def _begun(original: ClipOriginal, sound: ClipSound | None, device: Device) -> _Marking:
    return _Marking(
        MessageId(device.dice.token(ID_BYTES)),
        new_name(device),
        device.clock.now(),
        sent_clip(original),
        original.source,
        pack(original.survey),
        sound,
    )


def _batch_size(original: ClipOriginal, room_bytes: int) -> int:
    pixels = original.shown.width_px * original.shown.height_px
    room = min(room_bytes // max(1, len(original.source)), _BATCH_PIXELS // pixels)
    return min(max(room, 1), _BATCH_MAX)


def clip_sound(untrusted_data: bytes, device: Device) -> ClipSound | None:
    """What is heard in a clip; None when it is silent.

    Raises:
        SoundUnknown: it has sound, which is not read; a copy would be silent without a word.
        ClipTooLongWithSound: also with the silences that it needs beside its picture.
        SoundBroken.
    """
    try:
        sound = device.read_sound(untrusted_data)
        _refuse_too_long(sound)
    except SoundUnknown:
        raise
    except NotASound:
        return None
    except SoundTooLong as error:
        limits = {**error.facts, "silent_minutes": round(CLIP_LENGTH_S_MAX / 60)}
        raise ClipTooLongWithSound(**limits) from None
    try:
        prepared = prepare(np.asarray(sound), sound.rate_hz)
    except (SoundTooShortToMark, TooQuietToMark):
        return ClipSound(sound, None, b"")
    return ClipSound(sound, prepared, contour(prepared.mono))


def _refuse_too_long(sound: Sound) -> None:
    """A copy holds the silences too, and has to be read when it is found."""
    if len(sound) + sound.timing.silent > SOUND_LENGTH_S_MAX * sound.rate_hz:
        raise SoundTooLong(limit_minutes=round(SOUND_LENGTH_S_MAX / 60))
