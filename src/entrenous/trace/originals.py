"""The pictures that copies were marked from, and their landmarks if those were never stored."""

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
from entrenous.media.resize import resize
from entrenous.watermark.alignment.features import Features, features
from entrenous.watermark.embed import Prepared, prepare

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


def learn(
    strange: Iterable[tuple[MessageId, int]],
    device: Device,
    on_each: Callable[[], None] = lambda: None,
) -> int:
    """Look at the kept originals of these pictures; how many could be read.

    One original that cannot be read any more keeps no other from being learnt. ``on_each`` is
    called after each.
    """
    learnt = 0
    for message, place in strange:
        with suppress(EntrenousError):
            picture = device.ledger.read(message).pictures[place]
            device.ledger.learn(message, place, original_of(picture, device))
            learnt += 1
        on_each()
    return learnt
