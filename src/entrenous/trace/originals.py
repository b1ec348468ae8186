"""The unmarked pictures that copies were made from, with their features computed on demand."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import numpy as np

from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import MessageId
from entrenous.base.picture import Picture
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.device.sent_messages import SentPicture
from entrenous.media.resize import shrink_picture
from entrenous.watermark.alignment.features import Features, extract_features
from entrenous.watermark.embed import PreparedPicture, prepare_picture

# pixels of all cached pictures together; with their features they take about 200 MB
_CACHED_PIXELS_MAX: Final = 8_000_000

ReadPicture = Callable[[bytes], Picture]
"""A function that decodes a file to an upright picture, as ``Device.read_picture`` does."""


def decode_original_of(sent: SentPicture, device: Device) -> Picture:
    """Decode the picture that copies were made from, at the size in which they were sent.

    Raises:
        VaultFileMissing, VaultFileDamaged: the picture's file is missing from the vault, or
            damaged.
        PictureDecodingFailed and related errors.
    """
    return _decode_original(
        device.vault.read_stored_file(sent.original), sent.size_px, device.read_picture
    )


class SentOriginal:
    """One sent picture, with its features and detector input, which are computed on first use."""

    __slots__ = ("_features", "_prepared", "picture")

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self._features: Features | None = None
        self._prepared: PreparedPicture | None = None

    def features(self) -> Features:
        if self._features is None:
            self._features = extract_features(np.asarray(self.picture))
        return self._features

    def prepared(self) -> PreparedPicture:
        if self._prepared is None:
            self._prepared = prepare_picture(np.asarray(self.picture))
            # Computed here and not on first use: the caller runs this in a second thread, and does
            # other work in the meantime.
            _ = self._prepared.trial_pattern
        return self._prepared


class OriginalsCache:
    """A cache of the last few sent pictures that a found one was compared with.

    A folder of leaks often shows the same picture many times. Nothing cached depends on a leak or a
    key.
    """

    def __init__(self, read: ReadPicture) -> None:
        self._read = read
        self._cache: dict[tuple[bytes, int | None], SentOriginal] = {}

    def original_for(self, source: bytes, size_px: int | None) -> SentOriginal:
        """Return the original for a source file's bytes and the size that it was scaled down to.

        Raises:
            NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed: see
                ``Device.read_picture``.
        """
        key = sha256(source), size_px
        one = self._cache.pop(key, None) or SentOriginal(
            _decode_original(source, size_px, self._read)
        )
        # the last picture in the dictionary is the one that was used most recently
        self._cache[key] = one
        self._drop_oldest()
        return one

    def _drop_oldest(self) -> None:
        """Drop the least recently used pictures until the rest fit within the limit.

        A picture that by itself exceeds the limit is not kept.
        """
        while sum(one.picture.pixel_count for one in self._cache.values()) > _CACHED_PIXELS_MAX:
            del self._cache[next(iter(self._cache))]


def _decode_original(source: bytes, size_px: int | None, read: ReadPicture) -> Picture:
    picture = read(source)
    return picture if size_px is None else shrink_picture(picture, size_px)


def compute_missing_picture_records(
    without_record: Iterable[tuple[MessageId, int]],
    device: Device,
    on_each: Callable[[], None] = lambda: None,
) -> int:
    """Compute the missing features of sent pictures from their originals, and store them.

    An original that cannot be read is skipped. ``on_each`` is called after each picture.

    Returns: the number of pictures that could be read.
    """
    learnt = 0
    for message, place in without_record:
        with suppress(EntrenousError):
            picture = device.ledger.message(message).pictures[place]
            device.ledger.store_picture_record(message, place, decode_original_of(picture, device))
            learnt += 1
        on_each()
    return learnt
