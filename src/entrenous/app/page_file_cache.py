"""Pictures and sounds as pages show them, cached in memory until the app is locked. A picture is
scaled down to the size at which a page shows it.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from entrenous.base.audio_video import DamagedClip, FrameSelection, NoVideoFound
from entrenous.base.picture import MediaKind, Picture
from entrenous.media.file_kind import media_kind_of
from entrenous.media.sandbox.decoder_pool import DecoderPool
from entrenous.media.sandbox.decoders import decode_clip_untrusted, decode_sound_untrusted

#: How a page uses the file, then the id of its message, case or draft file, and the file's number
#: there (0 if there is only one).
PageFileKey = tuple[str, str, int]
_PAGE_FILE_CACHE_BYTES_MAX: Final = 96 << 20
_SOUND_SAMPLE_RATE_HZ: Final = 24_000


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as a page shows it."""

    data: bytes
    media_type: str


class PageFileCache:
    """A cache of files for pages. When it is full, the least recently used files are dropped.

    ``kinds_by_message`` maps the name of each message that a page has shown to the kinds of its
    files.
    """

    def __init__(self) -> None:
        self.kinds_by_message = dict[str, tuple[str, ...]]()
        self._kept: OrderedDict[PageFileKey, PageFile] = OrderedDict()
        self._pool: DecoderPool | None = None
        self._lock = threading.Lock()

    async def get_or_make(self, key: PageFileKey, make: Callable[[], PageFile]) -> PageFile:
        """Return the file for this key; if it is not cached, ``make`` is called in a thread."""
        found = self.find(key)
        if found is not None:
            return found
        made = await asyncio.to_thread(make)
        self.keep(key, made)
        return made

    def find(self, key: PageFileKey) -> PageFile | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: PageFileKey, made: PageFile) -> None:
        with self._lock:
            self._kept[key] = made
            while sum(len(one.data) for one in self._kept.values()) > _PAGE_FILE_CACHE_BYTES_MAX:
                self._kept.popitem(last=False)

    def forget_files_of(self, owner: str) -> None:
        """Forget the files of a message, case or draft file, given its id."""
        with self._lock:
            self.kinds_by_message.pop(owner, None)
            for key in [one for one in self._kept if one[1] == owner]:
                del self._kept[key]

    def forget_all(self) -> None:
        """Forget every file, and end the decoder processes. Call this when the app is locked."""
        with self._lock:
            self.kinds_by_message.clear()
            self._kept.clear()
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def make_picture(self, untrusted_data: bytes, side_px: int) -> PageFile:
        """Decode a picture in the sandbox and scale it down; raises the errors of the decoder."""
        from entrenous.media.previews import small_jpeg  # noqa: PLC0415 - loads NumPy

        picture = self._decoder_pool().read(untrusted_data, at_least_px=side_px)
        return PageFile(small_jpeg(picture, side_px), "image/jpeg")

    def make_preview(self, untrusted_data: bytes, side_px: int) -> PageFile:
        """Return a picture, the first frame of a clip, or a playable sound.

        Raises the errors of the decoder.
        """
        medium = media_kind_of(untrusted_data)
        if medium is MediaKind.PICTURE:
            return self.make_picture(untrusted_data, side_px)
        if medium is MediaKind.CLIP:
            try:
                return _first_frame_as_jpeg(untrusted_data, side_px)
            except NoVideoFound:
                pass
        return _sound_as_wav(untrusted_data)

    def decode_picture(self, untrusted_data: bytes) -> Picture:
        """Decode a picture in the sandbox at full size; raises the errors of the decoder."""
        return self._decoder_pool().read(untrusted_data)

    def _decoder_pool(self) -> DecoderPool:
        with self._lock:
            if self._pool is None:
                self._pool = DecoderPool()
            return self._pool


def _first_frame_as_jpeg(untrusted_data: bytes, side_px: int) -> PageFile:
    from entrenous.media.previews import frame_jpeg  # noqa: PLC0415 - loads NumPy

    with decode_clip_untrusted(untrusted_data, FrameSelection(side_px=side_px)) as clip:
        frame = next(clip.frames, None)
    if frame is None:
        raise DamagedClip
    return PageFile(frame_jpeg(frame), "image/jpeg")


def _sound_as_wav(untrusted_data: bytes) -> PageFile:
    from entrenous.media.previews import encode_wav  # noqa: PLC0415 - loads NumPy

    return PageFile(
        encode_wav(decode_sound_untrusted(untrusted_data, _SOUND_SAMPLE_RATE_HZ)), "audio/wav"
    )
