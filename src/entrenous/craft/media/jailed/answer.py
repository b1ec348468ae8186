"""What the decoding child answers, as bytes, and the strict reading of it.

A child that a picture has taken over is a stranger too. So nothing in an answer is believed:
every number is checked, the profile must be in our own reduced form, and sizes are known before
anything is read. Layout: docs/spec/pictures.md, section 7.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Final

from entrenous.craft.media.jailed.walls import Wall
from entrenous.craft.media.profile import parse_profile, write_profile
from entrenous.model.errors import EntrenousError
from entrenous.model.picture import (
    CutShort,
    DecoderGaveUp,
    Encoding,
    FullSize,
    NotAPicture,
    Picture,
    PictureFormat,
    TooManyPixels,
)
from entrenous.spec import PICTURE_PIXELS_MAX

#: The length of the file that follows, how many pixels its sides need (0: all there are), and
#: whether the luma of a JPEG is enough.
QUESTION: Final = struct.Struct(">QI?")
_READY: Final = struct.Struct(">cB")
_PICTURE: Final = struct.Struct(">IIII8BI")
_SIZE: Final = struct.Struct(">II")
_TABLE: Final = struct.Struct(">64H")
_FORMATS: Final = tuple(PictureFormat)
_SUBSAMPLINGS: Final = (None, "4:4:4", "4:2:2", "4:2:0")
_FAILURES: Final[dict[bytes, type[EntrenousError]]] = {
    b"N": NotAPicture,
    b"C": CutShort,
    b"G": DecoderGaveUp,
}
_SIDES: Final = ("width_px", "height_px")
_TABLES_MAX: Final = 2
_JPEG_SIDE_MAX: Final = 65_535  # ITU-T T.81, B.2.2: 16 bits
_NOT_SHRUNK: Final = FullSize(0, 0)
_LUMA_ALONE: Final = 2  # in the place of "grey"
_PROFILE_BYTES_MAX: Final = 65_536

Read = Callable[[int], bytes]
"""Gives exactly that many bytes, or raises."""


def write_ready(walls: Wall) -> bytes:
    """The child's first words: everything is loaded, and these walls stand."""
    return _READY.pack(b"R", walls)


def read_ready(read: Read) -> Wall:
    """The walls around the child.

    Raises:
        ValueError: it said something else.
    """
    word, walls = _READY.unpack(read(_READY.size))
    if word != b"R" or walls not in range(16):
        raise ValueError("the child said something else")
    return Wall(walls)


def write_failure(failure: EntrenousError) -> bytes:
    """One letter for what went wrong; the size that was too much goes along."""
    if isinstance(failure, TooManyPixels):
        width, height = (min(int(str(failure.facts[name])), 0xFFFFFFFF) for name in _SIDES)
        return b"M" + _SIZE.pack(width, height)
    letters = [letter for letter, kind in _FAILURES.items() if isinstance(failure, kind)]
    return letters[0] if letters else b"G"


def write_answer(picture: Picture) -> Iterable[bytes]:
    """The picture in three parts, so that its samples are not copied once more."""
    encoding = picture.encoding
    tables = [table for _, table in sorted((encoding.tables or {}).items())]
    profile = picture.profile or b""
    head = b"P" + _PICTURE.pack(
        picture.width_px,
        picture.height_px,
        *(picture.shrunk_from or _NOT_SHRUNK),
        _FORMATS.index(encoding.format),
        _LUMA_ALONE if picture.luma_alone else encoding.grey,
        encoding.lossless,
        picture.alpha is not None,
        _SUBSAMPLINGS.index(encoding.subsampling),
        len(tables),
        len(profile),
    )
    yield b"".join((head, *(_TABLE.pack(*table) for table in tables), profile))
    yield picture.samples
    yield picture.alpha or b""


def read_answer(read: Read, kind: PictureFormat, *, luma: bool = False) -> Picture:
    """The picture in an answer about a file of this kind; ``luma`` says that this was enough.

    Raises:
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp: what the child reported.
        ValueError: the answer itself is not sound, so neither is the child.
    """
    word = read(1)
    if word == b"P":
        return _read_picture(read, kind, luma=luma)
    if word == b"M":
        width, height = _SIZE.unpack(read(_SIZE.size))
        limit_mp = PICTURE_PIXELS_MAX // 1_000_000
        raise TooManyPixels(width_px=width, height_px=height, limit_mp=limit_mp)
    if word in _FAILURES:
        raise _FAILURES[word]
    raise ValueError("the child said something else")


def _read_picture(read: Read, kind: PictureFormat, *, luma: bool) -> Picture:
    head = _PICTURE.unpack(read(_PICTURE.size))
    width, height, full = *head[:2], FullSize(*head[2:4], *map(bool, head[4:6]))
    which, grey, lossless, has_alpha, subsampling, tables, profile_bytes = head[6:]
    sizes = width * height, full.width_px * full.height_px
    if not 0 < sizes[0] <= PICTURE_PIXELS_MAX >= sizes[1]:
        raise ValueError("a picture of impossible size")
    if full != _NOT_SHRUNK and kind is not PictureFormat.JPEG:
        raise ValueError("only a JPEG is decoded smaller")
    if kind is PictureFormat.JPEG and max(width, height, *full[:2]) > _JPEG_SIDE_MAX:
        raise ValueError("a JPEG of impossible size")
    alone = luma and kind is PictureFormat.JPEG and grey == _LUMA_ALONE
    if max(0 if alone else grey, lossless, has_alpha, *head[4:6]) > 1 or tables > _TABLES_MAX:
        raise ValueError("a flag that is none")
    if which >= len(_FORMATS) or _FORMATS[which] is not kind:
        raise ValueError("a picture of another kind than the file's")
    if subsampling >= len(_SUBSAMPLINGS) or profile_bytes > _PROFILE_BYTES_MAX:
        raise ValueError("a number out of range")
    read_tables = {slot: _read_table(read) for slot in range(tables)}
    encoding = Encoding(
        kind, bool(grey), read_tables or None, _SUBSAMPLINGS[subsampling], bool(lossless)
    )
    profile = _read_profile(read, profile_bytes)
    samples = read(width * height * (1 if alone else 3))
    alpha = read(width * height) if has_alpha else None
    return Picture(
        width, height, samples, encoding, alpha, profile, None if full == _NOT_SHRUNK else full
    )


def _read_table(read: Read) -> tuple[int, ...]:
    table = _TABLE.unpack(read(_TABLE.size))
    if 0 in table:
        raise ValueError("a quantisation step of 0 (ITU-T T.81, B.2.4.1 forbids it)")
    return table


def _read_profile(read: Read, size: int) -> bytes | None:
    """Only what our own writer would have written: numbers, fixed texts, not a byte more."""
    if size == 0:
        return None
    profile = read(size)
    numbers = parse_profile(profile)
    if numbers is None or write_profile(numbers) != profile:
        raise ValueError("a profile that is more than its colour numbers")
    return profile
