"""Make marked copies of a clip, sound track included: for a message, or for people who get them by
another channel.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from entrenous.base.audio_video import (
    ClipTooLongWithSound,
    NoSoundFound,
    Sound,
    SoundTooLong,
    SoundTooShortToMark,
    TooQuietToMark,
    UnsupportedSoundCodec,
)
from entrenous.base.copies import Copy
from entrenous.base.identifiers import BlobId, MessageId, MessageName, RecipientId
from entrenous.base.limits import CLIP_LENGTH_S_MAX, SOUND_LENGTH_S_MAX, SOUND_MARK_KEY_CONTEXT
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message, SentClip, SentSound
from entrenous.device.vault_tables import pack
from entrenous.media.clip_writer import MEDIA_TYPE, SUFFIX, ClipSoundTrack
from entrenous.send.copies.clip_copies import (
    ClipCopySpec,
    ClipOriginal,
    prepare_clip,
    read_clip_format,
    write_clip_copies,
)
from entrenous.send.copies.mark_file import CopyRecorder, MarkedFile
from entrenous.send.copies.picture_copies import MarkedCopy, new_mark_seed
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.prepared_files import CopyFormat, LedgerEntries
from entrenous.send.message.transfer_progress import (
    ByteCounter,
    ProgressCallback,
    ignore_progress,
    progress_range,
)
from entrenous.watermark.audio_location import compute_contour
from entrenous.watermark.audio_mark import (
    PreparedSound,
    embed_sound_mark,
    key_stream_bytes,
    prepare_sound,
)

# bytes of all copies in one batch, estimated from the original's size
_COPY_BATCH_BYTES_MAX: Final = 256 * 1024 * 1024
_COPIES_PER_BATCH_MAX: Final = 12
_SOUND_SHARE_OF_PREPARING_TIME: Final = 0.05  # the sound's share of the time for preparing a clip
_FRAMES_MEDIA_INDEX: Final = 0  # index of the frames among the message's media
_SOUND_MEDIA_INDEX: Final = 1
_NOT_STORED_BLOB: Final = BlobId(b"")  # stands for a file that is not stored yet
# Limit for the pixels of one frame, summed over all encoders. Each pixel takes 105 bytes of memory.
_PIXELS_IN_ALL_ENCODERS_MAX: Final = 8_000_000


def mark_clip_copies(
    untrusted_data: bytes, to: Sequence[RecipientId], device: Device
) -> Generator[tuple[MessageName, MarkedFile], None, None]:
    """Yield one marked copy per recipient; each is in the ledger before it is yielded.

    Each pass through the original makes up to twelve copies, which are in memory together. If the
    caller stops early, the ledger has the copies that were yielded and no others; throw
    CopyNotWritten into the generator to remove the copy that it yielded last.

    Raises:
        NoVideoFound, IncompleteClip, FramesTooLarge, ClipTooLong, ClipTooLongWithSound,
        DamagedClip, ClipTooSmallToMark.
        UnsupportedSoundCodec, DamagedSound: the clip's sound track cannot be read.
    """
    original, sound = prepare_clip_with_sound(untrusted_data, device)
    recording = _make_copy_recorder(original, sound, device)
    with closing(make_clip_copies(original, sound, len(to), device)) as copies:
        for person, made in zip(to, copies, strict=True):
            copy = Copy(person, made.seed, made.sha256)
            yield from recording.record_and_yield(copy, MarkedFile(person, made.data, SUFFIX))


@dataclass(frozen=True, slots=True, eq=False)
class ClipSound:
    """A clip's sound track; ``prepared`` is None if it is too short or too quiet for a mark, and
    ``contour`` is then empty.
    """

    sound: Sound
    prepared: PreparedSound | None
    contour: bytes

    def track_for_copy(self, seed: Secret) -> ClipSoundTrack:
        """Return one copy's sound track, with the original's timing."""
        sound = self.sound
        if self.prepared is None:
            return ClipSoundTrack(np.asarray(sound), sound.rate_hz, sound.timing)
        size = key_stream_bytes(len(sound), sound.rate_hz)
        samples = embed_sound_mark(
            self.prepared, derive_key_stream(seed, SOUND_MARK_KEY_CONTEXT, size)
        )
        return ClipSoundTrack(np.asarray(samples, np.float32), sound.rate_hz, sound.timing)


def prepare_clip_with_sound(
    untrusted_data: bytes, device: Device, reached: ProgressCallback = ignore_progress
) -> tuple[ClipOriginal, ClipSound | None]:
    """Prepare a clip and its sound track (None if there is none); ``reached`` is called with the
    progress, from 0 to 1.

    The sound is prepared first, so that an error in the sound is reported before all frames are
    decoded, which can take long.

    Raises:
        NoVideoFound: the file is not a clip; raised before its sound is read.
        The errors of :func:`.read_clip_sound` and :func:`.prepare_clip`.
    """
    shown = read_clip_format(untrusted_data, device)
    sound = read_clip_sound(untrusted_data, device)
    reached(_SOUND_SHARE_OF_PREPARING_TIME)
    seen = progress_range(reached, _SOUND_SHARE_OF_PREPARING_TIME, 1.0)
    return prepare_clip(untrusted_data, shown, device, seen), sound


def make_clip_copies(  # noqa: PLR0913, PLR0917 - the material, the limits and one callback
    original: ClipOriginal,
    sound: ClipSound | None,
    people: int,
    device: Device,
    room_bytes: int = _COPY_BATCH_BYTES_MAX,
    begun: Callable[[int], ProgressCallback] = lambda _copies: ignore_progress,
) -> Generator[MarkedCopy, None, None]:
    """Yield ``people`` copies. One batch of them, about ``room_bytes``, is in memory at a time.

    ``begun`` is called before each pass with its number of copies, and returns the function that
    gets the pass's progress.
    """
    size = _copies_per_batch(original, room_bytes)
    for first in range(0, people, size):
        seeds = [new_mark_seed(device) for _ in range(min(size, people - first))]
        tracks = (None if sound is None else sound.track_for_copy(seed) for seed in seeds)
        wanted = [
            ClipCopySpec(seed, track, original.crf)
            for seed, track in zip(seeds, tracks, strict=True)
        ]
        files = write_clip_copies(original, wanted, device, reached=begun(len(seeds)))[::-1]
        for seed in seeds:
            data = files.pop()
            yield MarkedCopy(seed, data, sha256(data))


def clip_ledger_entry_without_files(original: ClipOriginal) -> SentClip:
    """Return the ledger's entry for a clip, without the blobs of its stored files and without
    copies.
    """
    return SentClip(
        original=_NOT_STORED_BLOB,
        survey=_NOT_STORED_BLOB,
        dither=original.dither,
        copies=(),
        width_px=original.shown.width_px,
        height_px=original.shown.height_px,
        length_s=original.camera.length_s,
    )


def _make_copy_recorder(
    original: ClipOriginal, sound: ClipSound | None, device: Device
) -> CopyRecorder:
    marked_sound = sound if sound is not None and sound.contour else None

    def store_originals(id_: MessageId, name: MessageName, at: datetime) -> Message:
        source, survey = (
            device.vault.store_file(original.source),
            device.vault.store_file(pack(original.survey)),
        )
        clip = replace(clip_ledger_entry_without_files(original), original=source, survey=survey)
        sounds: tuple[SentSound, ...] = ()
        if marked_sound is not None:  # so that the sound can be traced without its picture
            kept = device.vault.store_file(marked_sound.contour)
            sounds = (SentSound(source, kept, marked_sound.sound.length_s, ()),)
        return Message(id_, name, at, (), clips=(clip,), sounds=sounds)

    return CopyRecorder(
        device,
        (_FRAMES_MEDIA_INDEX,)
        if marked_sound is None
        else (_FRAMES_MEDIA_INDEX, _SOUND_MEDIA_INDEX),
        store_originals,
    )


def _copies_per_batch(original: ClipOriginal, room_bytes: int) -> int:
    pixels = original.shown.width_px * original.shown.height_px
    room = min(room_bytes // max(1, len(original.source)), _PIXELS_IN_ALL_ENCODERS_MAX // pixels)
    return min(max(room, 1), _COPIES_PER_BATCH_MAX)


def read_clip_sound(untrusted_data: bytes, device: Device) -> ClipSound | None:
    """Read and prepare a clip's sound track; return None if the clip has none.

    Raises:
        UnsupportedSoundCodec: the sound's codec is not supported, so copies would be silent.
        ClipTooLongWithSound: the sound is too long, including inserted silences.
        DamagedSound.
    """
    try:
        sound = device.read_sound(untrusted_data)
        _refuse_long_sound(sound)
    except UnsupportedSoundCodec:
        raise
    except NoSoundFound:
        return None
    except SoundTooLong as error:
        limits = {**error.facts, "silent_minutes": round(CLIP_LENGTH_S_MAX / 60)}
        raise ClipTooLongWithSound(**limits) from None
    try:
        prepared = prepare_sound(np.asarray(sound), sound.rate_hz)
    except (SoundTooShortToMark, TooQuietToMark):
        return ClipSound(sound, None, b"")
    return ClipSound(sound, prepared, compute_contour(prepared.mono))


def _refuse_long_sound(sound: Sound) -> None:
    """Raise SoundTooLong if the sound, including inserted silences, is too long.

    A copy with a longer sound could not be read again, so a leaked copy could not be traced.
    """
    if len(sound) + sound.timing.silent_samples > SOUND_LENGTH_S_MAX * sound.rate_hz:
        raise SoundTooLong(limit_minutes=round(SOUND_LENGTH_S_MAX / 60))


_PENDING_COPIES_BYTES_MAX: Final = (
    64 * 1024 * 1024
)  # bytes of copies that were made in one pass and wait to be encrypted


@dataclass(frozen=True, slots=True)
class MessageClip:
    """One clip of a message; ``sound`` is None if the clip is silent."""

    places: tuple[int]
    original: ClipOriginal
    sound: ClipSound | None

    @property
    def copy_formats(self) -> tuple[CopyFormat, ...]:
        return (CopyFormat(MEDIA_TYPE, FileRole.CLIP),)

    def make_copies(
        self, people: int, device: Device, marking: ByteCounter
    ) -> Generator[tuple[MarkedCopy, ...], None, None]:
        """Yield the copies for each recipient in turn. Each pass through the clip makes several
        copies.
        """
        size = len(self.original.source)
        making = make_clip_copies(
            self.original,
            self.sound,
            people,
            device,
            _PENDING_COPIES_BYTES_MAX,
            lambda several: marking.counting_callback(several * size),
        )
        with closing(making) as copies:
            for made in copies:
                yield (made,)

    def keep_originals(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> LedgerEntries:
        """Store the original, its measurements, and the data for tracing it by its sound alone."""
        (made,) = copies
        kept = device.vault.store_file(self.original.source)
        surveyed = device.vault.store_file(pack(self.original.survey))
        clip = replace(
            clip_ledger_entry_without_files(self.original),
            original=kept,
            survey=surveyed,
            copies=made,
            place=self.places[0] + 1,
        )
        return LedgerEntries(
            clips=(clip,), sounds=self._store_sound_for_tracing(kept, made, device)
        )

    def store_features(self, message: MessageId, device: Device) -> None:
        """Do nothing: a trace finds a clip by its measurements, which ``keep_originals`` stores."""

    def _store_sound_for_tracing(
        self, original_blob: BlobId, made: tuple[Copy, ...], device: Device
    ) -> tuple[SentSound, ...]:
        if self.sound is None or not self.sound.contour:
            return ()
        contour = device.vault.store_file(self.sound.contour)
        length_s, place = self.sound.sound.length_s, self.places[0] + 1
        return (SentSound(original_blob, contour, length_s, made, place),)


def prepare_message_clip(
    place: int, untrusted_data: bytes, device: Device, reached: ProgressCallback
) -> MessageClip:
    """Prepare a clip; ``reached`` receives the share that is done.

    Raises:
        NoVideoFound, IncompleteClip, FramesTooLarge, ClipTooLong, ClipTooLongWithSound,
            DamagedClip, ClipTooSmallToMark, UnsupportedSoundCodec, DamagedSound.
    """
    original, sound = prepare_clip_with_sound(untrusted_data, device, reached)
    reached(1.0)
    return MessageClip((place,), original, sound)
