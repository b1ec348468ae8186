"""The pictures that copies were marked from, as they were then."""

from collections.abc import Callable
from typing import Final

import numpy as np

from entrenous.craft.align.features import Features, features
from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.mark.prepare import Prepared, prepare
from entrenous.craft.media.resize import resize
from entrenous.model.message import SentPicture
from entrenous.model.picture import Picture
from entrenous.ports import Device

_KEPT_PX: Final = 8_000_000  # of all pictures together: some 200 MB with what was found in them

Read = Callable[[bytes], Picture]
"""A file's picture, upright; as ``Device.read_picture``."""


def original_of(sent: SentPicture, device: Device) -> Picture:
    """The picture that a message's copies were marked from, decoded and reduced as it was then.

    Raises:
        KeptFileGone, KeptFileDamaged: its file is gone from the vault, or spoilt.
        DecoderGaveUp and its kin.
    """
    return _read(device.vault.kept(sent.original), sent.size_px, device.read_picture)


class Original:
    """One sent picture, and what tracing finds in it: each part on first use, and once."""

    __slots__ = ("_features", "_prepared", "picture")

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self._features: Features | None = None
        self._prepared: Prepared | None = None

    def features(self) -> Features:
        """Its points."""
        if self._features is None:
            self._features = features(np.asarray(self.picture))
        return self._features

    def prepared(self) -> Prepared:
        """It, ready to be listened for."""
        if self._prepared is None:
            self._prepared = prepare(np.asarray(self.picture))
        return self._prepared


class Originals:
    """Sent pictures that were laid under a found one.

    A folder of leaks is often one picture many times, so the last few are kept. Nothing in them
    depends on a leak or on a key.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._kept: dict[tuple[bytes, int | None], Original] = {}

    def of(self, source: bytes, size_px: int | None) -> Original:
        """From the source file's bytes and the size it was reduced to.

        Raises:
            NotAPicture, CutShort, TooManyPixels, DecoderGaveUp: as ``Device.read_picture``.
        """
        key = sha256(source), size_px
        one = self._kept.pop(key, None) or Original(_read(source, size_px, self._read))
        self._kept[key] = one  # the newest last
        self._let_go()
        return one

    def _let_go(self) -> None:
        """The oldest, while all together are too large; a single large one is never kept."""
        while sum(one.picture.pixels for one in self._kept.values()) > _KEPT_PX:
            del self._kept[next(iter(self._kept))]


def _read(source: bytes, size_px: int | None, read: Read) -> Picture:
    picture = read(source)
    return picture if size_px is None else resize(picture, size_px)
