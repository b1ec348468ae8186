"""The messages between a parent and its decoder processes, as bytes.

They are parsed strictly, because a malicious file may have taken over the decoder process, which
can then write anything.
"""

import math
import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Final

from entrenous.base.audio_video import (
    Clip,
    ClipFormat,
    ClipTooLong,
    ColourSpace,
    DamagedClip,
    DamagedSound,
    Frame,
    FramePrediction,
    FrameSelection,
    FramesTooLarge,
    IncompleteClip,
    NoSoundFound,
    NoVideoFound,
    Silence,
    Sound,
    SoundEncoding,
    SoundFormat,
    SoundTiming,
    SoundTooLong,
    UnsupportedSoundCodec,
    UnsupportedVideoCodec,
)
from entrenous.base.errors import EntrenousError
from entrenous.base.limits import (
    CLIP_FRAME_PIXELS_MAX,
    CLIP_LENGTH_S_MAX,
    PICTURE_PIXELS_MAX,
    SOUND_LENGTH_S_MAX,
    SOUND_RATE_HZ_MAX,
)
from entrenous.base.picture import (
    IncompletePicture,
    NotAPicture,
    OriginalSize,
    Picture,
    PictureDecodingFailed,
    PictureEncoding,
    PictureFormat,
    TooManyPixels,
)
from entrenous.media.icc_profile import parse_profile, write_profile
from entrenous.media.sandbox.confinement import Confinement

#: Request: the length of the file that follows, the minimum side in pixels (0 for full size), and
#: whether the luma of a JPEG is enough.
PICTURE_REQUEST: Final = struct.Struct(">QI?")
_READY_MESSAGE: Final = struct.Struct(">cB")
_PICTURE_HEADER: Final = struct.Struct(">IIII8BI")
_SIZE_FIELDS: Final = struct.Struct(">II")
_QUANTISATION_TABLE_FIELDS: Final = struct.Struct(">64H")
_PICTURE_FORMATS: Final = tuple(PictureFormat)
_SUBSAMPLINGS: Final = (None, "4:4:4", "4:2:2", "4:2:0")
_PICTURE_FAILURES: Final[dict[bytes, type[EntrenousError]]] = {
    b"N": NotAPicture,
    b"C": IncompletePicture,
    b"G": PictureDecodingFailed,
}
_SIDE_FIELD_NAMES: Final = ("width_px", "height_px")
_QUANTISATION_TABLES_MAX: Final = 2
_JPEG_SIDE_MAX: Final = 65_535  # 16 bits (ITU-T T.81, B.2.2)
_NOT_SHRUNK_SIZE: Final = OriginalSize(0, 0)
_ONLY_LUMA_CODE: Final = 2  # a value of the field "grey"
_PROFILE_BYTES_MAX: Final = 65_536


ReadExactly = Callable[[int], bytes]
"""A function that returns exactly this many bytes, or raises an error."""


def write_ready_message(confinement: Confinement) -> bytes:
    """Return the child's first message: everything is loaded, with these restrictions in force."""
    return _READY_MESSAGE.pack(b"R", confinement)


def read_ready_message(read: ReadExactly) -> Confinement:
    """Read the child's confinement.

    Raises: ValueError: the child sent something else.
    """
    word, confinement = _READY_MESSAGE.unpack(read(_READY_MESSAGE.size))
    if word != b"R" or confinement not in range(16):
        raise ValueError("the child said something else")
    return Confinement(confinement)


def write_picture_failure(failure: EntrenousError) -> bytes:
    """Return one letter for the error, and for TooManyPixels the size too."""
    if isinstance(failure, TooManyPixels):
        width, height = (
            min(int(str(failure.facts[name])), 0xFFFFFFFF) for name in _SIDE_FIELD_NAMES
        )
        return b"M" + _SIZE_FIELDS.pack(width, height)
    letters = [letter for letter, kind in _PICTURE_FAILURES.items() if isinstance(failure, kind)]
    return letters[0] if letters else b"G"


def write_picture_answer(picture: Picture) -> Iterable[bytes]:
    """Yield the picture in three parts, to avoid another copy of its samples."""
    encoding = picture.encoding
    tables = [table for _, table in sorted((encoding.tables or {}).items())]
    profile = picture.profile or b""
    head = b"P" + _PICTURE_HEADER.pack(
        picture.width_px,
        picture.height_px,
        *(picture.original_size or _NOT_SHRUNK_SIZE),
        _PICTURE_FORMATS.index(encoding.format),
        _ONLY_LUMA_CODE if picture.has_only_luma else encoding.grey,
        encoding.lossless,
        picture.alpha is not None,
        _SUBSAMPLINGS.index(encoding.subsampling),
        len(tables),
        len(profile),
    )
    yield b"".join((head, *(_QUANTISATION_TABLE_FIELDS.pack(*table) for table in tables), profile))
    yield picture.samples
    yield picture.alpha or b""


def read_picture_answer(read: ReadExactly, kind: PictureFormat, *, luma: bool = False) -> Picture:
    """Read the answer for a file of this kind.

    If ``luma`` is true, the answer for a JPEG is also accepted if its picture has only luma.

    Raises:
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed: reported by the child.
        ValueError: the answer is invalid, so the child cannot be trusted.
    """
    word = read(1)
    if word == b"P":
        return _read_picture(read, kind, luma=luma)
    if word == b"M":
        width, height = _SIZE_FIELDS.unpack(read(_SIZE_FIELDS.size))
        limit_mp = PICTURE_PIXELS_MAX // 1_000_000
        raise TooManyPixels(width_px=width, height_px=height, limit_mp=limit_mp)
    if word in _PICTURE_FAILURES:
        raise _PICTURE_FAILURES[word]
    raise ValueError("the child said something else")


def _read_picture(read: ReadExactly, kind: PictureFormat, *, luma: bool) -> Picture:
    head = _PICTURE_HEADER.unpack(read(_PICTURE_HEADER.size))
    width, height, full = *head[:2], OriginalSize(*head[2:4], *map(bool, head[4:6]))
    format_index, grey, lossless, has_alpha, subsampling, tables, profile_bytes = head[6:]
    sizes = width * height, full.width_px * full.height_px
    if not 0 < sizes[0] <= PICTURE_PIXELS_MAX >= sizes[1]:
        raise ValueError("a picture of impossible size")
    if full != _NOT_SHRUNK_SIZE and kind is not PictureFormat.JPEG:
        raise ValueError("only a JPEG is decoded smaller")
    if kind is PictureFormat.JPEG and max(width, height, *full[:2]) > _JPEG_SIDE_MAX:
        raise ValueError("a JPEG of impossible size")
    alone = luma and kind is PictureFormat.JPEG and grey == _ONLY_LUMA_CODE
    if (
        max(0 if alone else grey, lossless, has_alpha, *head[4:6]) > 1
        or tables > _QUANTISATION_TABLES_MAX
    ):
        raise ValueError("a flag is neither 0 nor 1")
    if format_index >= len(_PICTURE_FORMATS) or _PICTURE_FORMATS[format_index] is not kind:
        raise ValueError("a picture of another format than the file's")
    if subsampling >= len(_SUBSAMPLINGS) or profile_bytes > _PROFILE_BYTES_MAX:
        raise ValueError("a number out of range")
    read_tables = {slot: _read_quantisation_table(read) for slot in range(tables)}
    encoding = PictureEncoding(
        kind, bool(grey), read_tables or None, _SUBSAMPLINGS[subsampling], bool(lossless)
    )
    profile = _read_profile(read, profile_bytes)
    samples = read(width * height * (1 if alone else 3))
    alpha = read(width * height) if has_alpha else None
    return Picture(
        width, height, samples, encoding, alpha, profile, None if full == _NOT_SHRUNK_SIZE else full
    )


def _read_quantisation_table(read: ReadExactly) -> tuple[int, ...]:
    table = _QUANTISATION_TABLE_FIELDS.unpack(read(_QUANTISATION_TABLE_FIELDS.size))
    if 0 in table:
        raise ValueError("a quantisation step of 0 (ITU-T T.81, B.2.4.1 forbids it)")
    return table


def _read_profile(read: ReadExactly, size: int) -> bytes | None:
    """Read a profile, and accept only what our own writer writes: numbers and fixed strings."""
    if size == 0:
        return None
    profile = read(size)
    numbers = parse_profile(profile)
    if numbers is None or write_profile(numbers) != profile:
        raise ValueError("a profile with more than its colour numbers")
    return profile


# the length of the file that follows, and the selection of frames
CLIP_REQUEST: Final = struct.Struct(">QddIIdI")
_CLIP_FORMAT: Final = struct.Struct(">IIIIdBBBII")
_FRAME_HEADER: Final = struct.Struct(">dB")
_CLIP_FAILURES: Final[dict[bytes, type[EntrenousError]]] = {
    b"U": UnsupportedVideoCodec,  # before its base class
    b"N": NoVideoFound,
    b"C": IncompleteClip,
    b"G": DamagedClip,
}
_END_OF_CLIP: Final = b"E"


def write_clip_request_header(untrusted_data: bytes, selection: FrameSelection) -> bytes:
    """Return the header of a request; the file follows it."""
    fields = (
        selection.start_s,
        selection.stop_s,
        selection.each,
        selection.side_px,
        selection.apart_s,
        selection.frames_max,
    )
    return CLIP_REQUEST.pack(len(untrusted_data), *fields)


def write_clip_answer(clip: Clip) -> Iterator[bytes]:
    """Yield the clip in parts: its properties, its frames, and a letter for the end."""
    shown = clip.shown
    yield b"V" + _CLIP_FORMAT.pack(
        shown.width_px,
        shown.height_px,
        shown.rate.numerator,
        shown.rate.denominator,
        shown.length_s,
        shown.colours.matrix,
        shown.colours.primaries,
        shown.colours.transfer,
        *_bounded_numerator_and_denominator(shown.pixel_aspect),
    )
    for frame in clip.frames:
        yield b"F" + _FRAME_HEADER.pack(frame.at_s, frame.coded)
        yield frame.planes
    yield _END_OF_CLIP


def write_clip_failure(failure: EntrenousError) -> bytes:
    """Return one letter for the error, and for FramesTooLarge the size too."""
    if isinstance(failure, FramesTooLarge):
        sides = (failure.facts["width_px"], failure.facts["height_px"])
        return b"M" + _SIZE_FIELDS.pack(*(min(int(str(side)), 0xFFFFFFFF) for side in sides))
    if isinstance(failure, ClipTooLong):
        return b"L"
    letters = [letter for letter, kind in _CLIP_FAILURES.items() if isinstance(failure, kind)]
    return letters[0] if letters else b"G"


def read_clip_answer(read: ReadExactly) -> Clip:
    """Read a clip; its frames are read from the child during iteration.

    Raises:
        NoVideoFound, IncompleteClip, FramesTooLarge, ClipTooLong, DamagedClip: reported by the
            child, perhaps during iteration.
        ValueError: the answer is invalid, so the child cannot be trusted.
    """
    word = read(1)
    if word != b"V":
        raise _read_clip_failure(word, read)
    width, height, up, down, length, *codes, across, along = _CLIP_FORMAT.unpack(
        read(_CLIP_FORMAT.size)
    )
    if not 0 < width * height <= CLIP_FRAME_PIXELS_MAX or 0 in (up, down, across, along):
        raise ValueError("frames of impossible size, rate or shape")
    if not 0.0 <= length <= CLIP_LENGTH_S_MAX:
        raise ValueError("a clip of impossible length")
    rate, aspect = Fraction(up, down), Fraction(across, along)
    shown = ClipFormat(width, height, rate, length, ColourSpace(*codes), aspect)
    return Clip(shown, _read_frames(read, shown))


def _read_frames(read: ReadExactly, clip_format: ClipFormat) -> Iterator[Frame]:
    before = -math.inf
    while (word := read(1)) == b"F":
        at_s, coded = _FRAME_HEADER.unpack(read(_FRAME_HEADER.size))
        if not (before < at_s or before == at_s == 0.0) or not 0.0 <= at_s <= CLIP_LENGTH_S_MAX:
            raise ValueError("frames out of time order")
        before = at_s
        planes = read(clip_format.frame_bytes)
        yield Frame(
            at_s, clip_format.width_px, clip_format.height_px, planes, FramePrediction(coded)
        )
    if word != _END_OF_CLIP:
        raise _read_clip_failure(word, read)


def _read_clip_failure(word: bytes, read: ReadExactly) -> EntrenousError:
    if word == b"M":
        width, height = _SIZE_FIELDS.unpack(read(_SIZE_FIELDS.size))
        return FramesTooLarge(
            width_px=width, height_px=height, limit_mp=round(CLIP_FRAME_PIXELS_MAX / 1e6)
        )
    if word == b"L":
        return ClipTooLong(limit_minutes=round(CLIP_LENGTH_S_MAX / 60))
    if word in _CLIP_FAILURES:
        return _CLIP_FAILURES[word]()
    raise ValueError("the child said something else")


def _bounded_numerator_and_denominator(ratio: Fraction) -> tuple[int, int]:
    short = ratio.limit_denominator(10_000)
    return max(1, min(short.numerator, 100_000)), short.denominator


SOUND_REQUEST: Final = struct.Struct(">QI")  # the length of the file that follows, and mono_hz
_SOUND_HEADER: Final = struct.Struct(">IBBIBQ")
_TIMING_HEADER: Final = struct.Struct(">QI")
_SILENCE_FIELDS: Final = struct.Struct(">QQ")
_SILENCES_MAX: Final = 1 << 15  # more silences than fit into the longest sound
_SOUND_FORMATS: Final = tuple(SoundFormat)
_BIT_RATE_MAX: Final = 1_000_000


def write_sound_answer(sound: Sound) -> Iterator[bytes]:
    """Yield the sound in parts, to avoid another copy of its samples."""
    encoding = sound.encoding
    yield b"S" + _SOUND_HEADER.pack(
        sound.rate_hz,
        sound.channels,
        _SOUND_FORMATS.index(encoding.format),
        encoding.bit_rate,
        encoding.deep,
        len(sound),
    )
    yield _write_timing(sound.timing)
    yield sound.samples


def _write_timing(timing: SoundTiming) -> bytes:
    silences = (_SILENCE_FIELDS.pack(one.before, one.length) for one in timing.silences)
    return _TIMING_HEADER.pack(timing.ahead, len(timing.silences)) + b"".join(silences)


def write_sound_failure(failure: EntrenousError) -> bytes:
    if isinstance(failure, UnsupportedSoundCodec):  # before its base class
        return b"U"
    if isinstance(failure, NoSoundFound):
        return b"N"
    return b"L" if isinstance(failure, SoundTooLong) else b"G"


def read_sound_answer(read: ReadExactly, mono_hz: int = 0) -> Sound:
    """Read a sound; with ``mono_hz``, it must have one channel at that rate.

    Raises:
        NoSoundFound, UnsupportedSoundCodec, SoundTooLong, DamagedSound: reported by the child.
        ValueError: the answer is invalid, so the child cannot be trusted.
    """
    word = read(1)
    if word != b"S":
        raise _sound_failure(word)
    rate, channels, format_index, bits, deep, count = _SOUND_HEADER.unpack(read(_SOUND_HEADER.size))
    if not 4000 <= rate <= SOUND_RATE_HZ_MAX or not 0 < count <= SOUND_LENGTH_S_MAX * rate:
        raise ValueError("a sound of impossible rate or length")
    if (
        channels not in (1, 2)
        or format_index >= len(_SOUND_FORMATS)
        or bits > _BIT_RATE_MAX
        or deep > 1
    ):
        raise ValueError("a number out of range")
    if mono_hz and (rate, channels) != (mono_hz, 1):
        raise ValueError("more than was asked for")
    timing = _read_timing(read, count, round(SOUND_LENGTH_S_MAX * rate))
    if mono_hz and timing != SoundTiming():
        raise ValueError("more than was asked for")
    samples = read(4 * count * channels)
    import numpy as np  # noqa: PLC0415 - needed only for sounds

    if not np.isfinite(np.frombuffer(samples, np.float32)).all():
        raise ValueError("a sample is not a finite number")
    encoding = SoundEncoding(_SOUND_FORMATS[format_index], bits, bool(deep))
    return Sound(rate, channels, samples, encoding, timing)


def _read_timing(read: ReadExactly, count: int, silence_max: int) -> SoundTiming:
    """Read the timing of a sound of ``count`` samples; no silence exceeds ``silence_max`` samples.

    Raises:
        ValueError.
    """
    ahead, several = _TIMING_HEADER.unpack(read(_TIMING_HEADER.size))
    if several > _SILENCES_MAX:
        raise ValueError("too many silences")
    silences = tuple(
        Silence(*_SILENCE_FIELDS.unpack(read(_SILENCE_FIELDS.size))) for _ in range(several)
    )
    timing = SoundTiming(ahead, silences)
    if ahead > count + timing.silent_samples:
        raise ValueError("a picture that begins after its sound")
    if any(one.before >= count or one.length > silence_max for one in silences):
        raise ValueError("a silence out of range")
    return timing


def _sound_failure(word: bytes) -> EntrenousError:
    if word == b"N":
        return NoSoundFound()
    if word == b"U":
        return UnsupportedSoundCodec()
    if word == b"L":
        return SoundTooLong(limit_minutes=round(SOUND_LENGTH_S_MAX / 60))
    if word == b"G":
        return DamagedSound()
    raise ValueError("the child said something else")


_SOUND_STARTS: Final = ((b"OggS", "ogg"), (b"#!AMR", "amr"), (b"fLaC", "flac"), (b"ID3", "mp3"))
_EBML_ID: Final = b"\x1aE\xdf\xa3"
_TOP_LEVEL_BOXES: Final = frozenset(b"ftyp moov mdat moof wide free skip styp sidx".split())


def sound_container_of(untrusted_data: bytes) -> str:
    """Return the name of the only FFmpeg demuxer that may open this file.

    Raises: NoSoundFound: the file does not begin like any supported container.
    """
    for start, kind in _SOUND_STARTS:
        if untrusted_data.startswith(start):
            return kind
    if untrusted_data[:4] == b"RIFF":
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(untrusted_data[8:12]) or _raise_no_sound_found()
    if untrusted_data.startswith(_EBML_ID):
        return "matroska"
    if untrusted_data[4:8] in _TOP_LEVEL_BOXES:
        return "mov"
    if len(untrusted_data) > 1 and untrusted_data[0] == 0xFF and untrusted_data[1] >= 0xE0:
        # these bits are the layer, which is 0 only in ADTS
        return "mp3" if untrusted_data[1] & 0x06 else "aac"
    return _raise_no_sound_found()


def _raise_no_sound_found() -> str:
    raise NoSoundFound
