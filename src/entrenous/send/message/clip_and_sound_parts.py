"""Marked copies of the clips, voice notes and other sounds in a message. `file_plan` imports this
module on demand, since the video library is slow to load.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from entrenous.base.audio_video import Sound
from entrenous.base.copies import Copy
from entrenous.base.identifiers import BlobId, MessageId
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.device.sent_messages import SentSound
from entrenous.device.vault_tables import pack
from entrenous.media.clip_writer import MEDIA_TYPE
from entrenous.media.sound_writer import written_format
from entrenous.send.copies.clip_copies import ClipOriginal
from entrenous.send.copies.mark_clip import (
    ClipSound,
    clip_ledger_entry,
    make_clip_copies,
    prepare_clip_with_sound,
)
from entrenous.send.copies.picture_copies import MadeCopy, new_mark_seed
from entrenous.send.copies.sound_copies import sound_pool_size, write_sound_copy
from entrenous.send.copies.worker_pool import ordered_results
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.file_plan import CopyShape, LedgerEntries
from entrenous.send.message.transfer_progress import ByteCounter, ProgressCallback
from entrenous.watermark.audio_location import contour
from entrenous.watermark.audio_mark import PreparedSound, prepare_sound

_PENDING_COPIES_BYTES_MAX: Final = (
    64 * 1024 * 1024
)  # bytes of copies that were made in one pass and wait to be encrypted


@dataclass(frozen=True, slots=True)
class ClipPart:
    """One clip of a message; ``sound`` is None if it is silent."""

    places: tuple[int]
    original: ClipOriginal
    sound: ClipSound | None

    @property
    def copy_shapes(self) -> tuple[CopyShape, ...]:
        return (CopyShape(MEDIA_TYPE, FileRole.CLIP),)

    def copies(
        self, people: int, device: Device, marking: ByteCounter
    ) -> Generator[tuple[MadeCopy, ...], None, None]:
        """Yield the copies, one recipient after the other; one pass through the clip makes
        several.
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
        """Store the original, and the data for tracing it by its sound alone."""
        (made,) = copies
        kept = device.vault.keep_file(self.original.source)
        surveyed = device.vault.keep_file(pack(self.original.survey))
        clip = replace(
            clip_ledger_entry(self.original),
            original=kept,
            survey=surveyed,
            copies=made,
            place=self.places[0] + 1,
        )
        return LedgerEntries(clips=(clip,), sounds=self._sent_sound(kept, made, device))

    def store_features(self, message: MessageId, device: Device) -> None:
        """Do nothing: a clip is found by its measurements."""

    def _sent_sound(
        self, original_blob: BlobId, made: tuple[Copy, ...], device: Device
    ) -> tuple[SentSound, ...]:
        if self.sound is None or not self.sound.contour:
            return ()
        contour = device.vault.keep_file(self.sound.contour)
        length_s, place = self.sound.sound.length_s, self.places[0] + 1
        return (SentSound(original_blob, contour, length_s, made, place),)


def prepare_clip_part(
    place: int, untrusted_data: bytes, device: Device, reached: ProgressCallback
) -> ClipPart:
    """Prepare a clip; ``reached`` receives the share that is done.

    Raises:
        NoVideoFound, IncompleteClip, FramesTooLarge, ClipTooLong, ClipTooLongWithSound,
            DamagedClip, ClipTooSmallToMark, UnsupportedSoundCodec, DamagedSound.
    """
    original, sound = prepare_clip_with_sound(untrusted_data, device, reached)
    reached(1.0)
    return ClipPart((place,), original, sound)


@dataclass(frozen=True, slots=True, eq=False)
class SoundPart:
    places: tuple[int]
    source: bytes
    sound: Sound
    prepared: PreparedSound

    @property
    def copy_shapes(self) -> tuple[CopyShape, ...]:
        return (CopyShape(written_format(self.sound.encoding).media_type, FileRole.VOICE),)

    def copies(
        self, people: int, device: Device, marking: ByteCounter
    ) -> Generator[tuple[MadeCopy, ...], None, None]:
        def make_copy(seed: Secret) -> tuple[MadeCopy, ...]:
            data = write_sound_copy(self.sound, self.prepared, seed)
            return (MadeCopy(seed, data, sha256(data)),)

        seeds = (new_mark_seed(device) for _ in range(people))
        marking.add(0)  # shows the progress bar before the first is done
        with closing(ordered_results(make_copy, seeds, sound_pool_size(self.sound))) as made:
            for one in made:
                marking.add(len(self.source))
                yield one

    def keep_originals(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> LedgerEntries:
        """Store the original, and the data for tracing it."""
        (made,) = copies
        kept = device.vault.keep_file(self.source)
        contour_blob = device.vault.keep_file(contour(self.prepared.mono))
        length_s, place = self.sound.length_s, self.places[0] + 1
        return LedgerEntries(sounds=(SentSound(kept, contour_blob, length_s, made, place),))

    def store_features(self, message: MessageId, device: Device) -> None:
        """Do nothing: a sound is found by its contour."""


def prepare_sound_part(
    place: int, untrusted_data: bytes, device: Device, reached: ProgressCallback
) -> SoundPart:
    """Prepare a sound; ``reached`` is called at the end.

    Raises:
        NoSoundFound, UnsupportedSoundCodec, SoundTooLong, DamagedSound, SoundTooShortToMark,
        TooQuietToMark.
    """
    sound = device.read_sound(untrusted_data)
    prepared = prepare_sound(np.asarray(sound), sound.rate_hz)
    reached(1.0)
    return SoundPart((place,), untrusted_data, sound, prepared)
