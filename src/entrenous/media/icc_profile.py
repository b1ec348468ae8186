"""Reduce an ICC profile to its colour numbers (ICC.1:2022; docs/spec/pictures.md, section 4)."""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_TAG_ENTRY: Final = struct.Struct(">4sII")
_TAGS_MAX: Final = 100
_CURVE_ENTRIES_MAX: Final = 4096
# number of parameters of each function type (ICC.1:2022, 10.18)
_PARAMETER_COUNTS: Final = (1, 3, 4, 5, 7)
_DEVICE_CLASSES: Final = (b"mntr", b"scnr", b"spac")
_COLUMN_TAGS: Final = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVE_TAGS: Final = (b"rTRC", b"gTRC", b"bTRC")
_D50: Final = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)  # ICC.1:2022, 7.2.16
_FIXED_DATE: Final = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # a valid date that reveals nothing
_TITLE: Final = "Colour numbers"
_COPYRIGHT: Final = "CC0"
# the columns R, G and B of IEC 61966-2-1, adapted to D50 by Bradford
_SRGB_COLUMNS: Final = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.06061, 0.71410),
)
_COLUMN_TOLERANCE: Final = 0.0015
_CURVE_TOLERANCE: Final = 0.0025
# how far the columns of common spaces, from sRGB to ProPhoto RGB, are from those of sRGB in X, Y, Z
_USUAL_COLUMN_TOLERANCES: Final = (0.4, 0.15, 0.15)
_USUAL_GAMMAS: Final = tuple(tenths / 10 for tenths in range(10, 31))
_DISPLAY_GAMMA: Final = 2.2  # curves are compared in steps that look about equal
_USUAL_CURVE_TOLERANCE: Final = 0.15
_FALL_MAX: Final = 0.01  # rounding and measuring errors


@dataclass(frozen=True, slots=True)
class MatrixProfile:
    """The numbers of an RGB profile: three columns, three curves, white point, adaptation.

    ``major`` is the version, 2 or 4. ``columns`` and ``white`` are triples of s15Fixed16 numbers
    (12 bytes each). ``curves`` are whole ``curv`` or ``para`` elements, without anything after
    them. ``adaptation`` is nine s15Fixed16 numbers, or None.
    """

    major: int
    columns: tuple[bytes, bytes, bytes]
    curves: tuple[bytes, bytes, bytes]
    white: bytes
    adaptation: bytes | None


def parse_profile(untrusted_profile: bytes) -> MatrixProfile | None:
    """Return the colour numbers of a matrix profile; None for other or broken profiles."""
    try:
        return _parse_matrix_profile(untrusted_profile)
    except (struct.error, LookupError, ValueError):
        return None


def write_profile(profile: MatrixProfile) -> bytes:
    """Return a complete profile with these numbers; the same numbers give the same bytes."""
    tags = {
        b"desc": _title_element(profile.major),
        b"cprt": _copyright_element(profile.major),
        b"wtpt": _write_element(b"XYZ ", profile.white),
        **{
            name: _write_element(b"XYZ ", xyz)
            for name, xyz in zip(_COLUMN_TAGS, profile.columns, strict=True)
        },
        **dict(zip(_CURVE_TAGS, profile.curves, strict=True)),
    }
    if profile.adaptation is not None:
        tags[b"chad"] = _write_element(b"sf32", profile.adaptation)
    return _assemble_profile(profile.major, tags)


def is_srgb(profile: MatrixProfile) -> bool:
    """Return whether this space looks like sRGB: columns within 0.0015, curves within 0.0025."""
    columns = [struct.unpack(">3i", xyz) for xyz in profile.columns]
    return all(
        abs(number / 65536 - wanted) <= _COLUMN_TOLERANCE
        for got, want in zip(columns, _SRGB_COLUMNS, strict=True)
        for number, wanted in zip(got, want, strict=True)
    ) and all(_is_srgb_curve(curve) for curve in set(profile.curves))


def is_usual(profile: MatrixProfile) -> bool:
    """Return whether a picture looks about the same with this profile and with none.

    With another profile, people may see something that the samples alone do not show: a curve can
    pick out the lower bits, and columns a single channel. All columns must be near those of sRGB,
    and all curves near a power of 1 to 3, and never fall.
    """
    columns = [struct.unpack(">3i", xyz) for xyz in profile.columns]
    return all(
        abs(number / 65536 - wanted) <= tolerance
        for got, want in zip(columns, _SRGB_COLUMNS, strict=True)
        for number, wanted, tolerance in zip(got, want, _USUAL_COLUMN_TOLERANCES, strict=True)
    ) and all(_is_usual_curve(curve) for curve in set(profile.curves))


def _parse_matrix_profile(data: bytes) -> MatrixProfile | None:
    if data[36:40] != b"acsp" or data[12:16] not in _DEVICE_CLASSES or data[16:24] != b"RGB XYZ ":
        return None
    tags = _read_tags(data)
    if any(name[:3] in (b"A2B", b"D2B") for name in tags):
        return None  # such a profile has a table, which overrides the matrix (ICC.1:2022, 8.2)
    red, green, blue = (_read_xyz(tags[name]) for name in _COLUMN_TAGS)
    curves = tuple(_read_curve(tags[name]) for name in _CURVE_TAGS)
    parametric = any(curve.startswith(b"para") for curve in curves)
    return MatrixProfile(
        major=4 if data[8] >= 4 or parametric else 2,
        columns=(red, green, blue),
        curves=(curves[0], curves[1], curves[2]),
        white=_read_xyz(tags[b"wtpt"]),
        adaptation=_read_numbers(tags[b"chad"], b"sf32", 9) if b"chad" in tags else None,
    )


def _read_tags(data: bytes) -> dict[bytes, bytes]:
    """Return the elements by tag; all must lie inside the profile (ICC.1:2022, 7.3)."""
    (count,) = struct.unpack_from(">I", data, 128)
    if count > _TAGS_MAX:
        raise ValueError("too many tags")
    tags = {}
    for index in range(count):
        name, at, size = _TAG_ENTRY.unpack_from(data, 132 + 12 * index)
        if at + size > len(data):
            raise ValueError("a tag reaches past the profile's end")
        tags[name] = data[at : at + size]
    return tags


def _read_xyz(element: bytes) -> bytes:
    return _read_numbers(element, b"XYZ ", 3)


def _read_numbers(element: bytes, kind: bytes, count: int) -> bytes:
    if element[:4] != kind or len(element) < 8 + 4 * count:
        raise ValueError("not the expected numbers")
    return element[8 : 8 + 4 * count]


def _read_curve(element: bytes) -> bytes:
    """Return a ``curv`` (10.6) or ``para`` (10.18) element, cut to its exact length."""
    if element[:4] == b"curv":
        (count,) = struct.unpack_from(">I", element, 8)
        head, size = 12, 2 * count
        if count > _CURVE_ENTRIES_MAX:
            raise ValueError("a curve has too many entries")
    elif element[:4] == b"para":
        (function,) = struct.unpack_from(">H", element, 8)
        head, size = 12, 4 * _PARAMETER_COUNTS[function]
        element = element[:10] + b"\0\0" + element[12:]
    else:
        raise ValueError("not a curve")
    if len(element) < head + size:
        raise ValueError("a curve ends early")
    return element[:4] + b"\0\0\0\0" + element[8 : head + size]


def _is_srgb_curve(curve: bytes) -> bool:
    steps = (index / 32 for index in range(33))
    try:
        return all(
            abs(_curve_to_linear(curve, x) - _srgb_to_linear(x)) <= _CURVE_TOLERANCE for x in steps
        )
    except (OverflowError, ZeroDivisionError):
        return False


def _is_usual_curve(curve: bytes) -> bool:
    levels = [level / 255 for level in range(256)]
    try:
        light = [min(max(_curve_to_linear(curve, x), 0.0), 1.0) for x in levels]
    except (OverflowError, ZeroDivisionError):
        return False
    shown = [y ** (1 / _DISPLAY_GAMMA) for y in light]
    if sum(max(one - after, 0.0) for one, after in pairwise(shown)) > _FALL_MAX:
        return False
    return any(
        all(
            abs(y - x ** (gamma / _DISPLAY_GAMMA)) <= _USUAL_CURVE_TOLERANCE
            for x, y in zip(levels, shown, strict=True)
        )
        for gamma in _USUAL_GAMMAS
    )


def _srgb_to_linear(x: float) -> float:
    """Convert an encoded value to linear light, both in [0, 1] (IEC 61966-2-1, 5.2)."""
    return x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4


def _curve_to_linear(curve: bytes, x: float) -> float:
    if curve.startswith(b"para"):
        return _evaluate_parametric(curve, x)
    entries = struct.unpack_from(f">{(len(curve) - 12) // 2}H", curve, 12)
    if not entries:
        return x
    if len(entries) == 1:
        return float(x ** (entries[0] / 256))
    low = min(int(x * (len(entries) - 1)), len(entries) - 2)
    part = x * (len(entries) - 1) - low
    return float((entries[low] * (1 - part) + entries[low + 1] * part) / 65535)


def _evaluate_parametric(curve: bytes, x: float) -> float:
    """Evaluate a parametric curve (ICC.1:2022, table 68).

    The same formula serves for all five types, with neutral values for parameters that a type
    lacks.
    """
    (function,) = struct.unpack_from(">H", curve, 8)
    count = _PARAMETER_COUNTS[function]
    given = [number / 65536 for number in struct.unpack_from(f">{count}i", curve, 12)]
    g, a, b, c, d, e, f = given + [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0][count:]
    if function in (1, 2):
        c, d, e, f = 0.0, -b / a, (c if function == 2 else 0.0), (c if function == 2 else 0.0)
    return float(max(a * x + b, 0.0) ** g + e) if x >= d else c * x + f


def _write_element(kind: bytes, body: bytes) -> bytes:
    return kind + b"\0\0\0\0" + body


def _title_element(major: int) -> bytes:
    if major >= 4:
        return _unicode_element(_TITLE)
    # ICC.1:2001-04, 6.5.17; the parts for Unicode and Macintosh are empty
    text = _TITLE.encode("ascii") + b"\0"
    return _write_element(b"desc", struct.pack(">I", len(text)) + text + bytes(78))


def _copyright_element(major: int) -> bytes:
    if major >= 4:
        return _unicode_element(_COPYRIGHT)
    return _write_element(b"text", _COPYRIGHT.encode("ascii") + b"\0")


def _unicode_element(text: str) -> bytes:
    """Return a multiLocalizedUnicodeType with one record (ICC.1:2022, 10.15)."""
    body = b"".join(bytes((0, letter)) for letter in text.encode("ascii"))
    return _write_element(b"mluc", struct.pack(">II4sII", 1, 12, b"enUS", len(body), 28) + body)


def _assemble_profile(major: int, tags: dict[bytes, bytes]) -> bytes:
    """Assemble a profile: header (7.2), tag table (7.3), and elements on 4-byte boundaries.

    Equal elements are stored once.
    """
    at = 132 + 12 * len(tags)
    table, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for name, element in tags.items():
        if element not in places:
            places[element] = at + len(body)
            body += element + bytes(-len(element) % 4)
        table += _TAG_ENTRY.pack(name, places[element], len(element))
    version = bytes((4, 0x40, 0, 0)) if major >= 4 else bytes((2, 0x10, 0, 0))
    head = struct.pack(
        ">I4s4s12s12s4s28s12s48s",
        at + len(body),
        bytes(4),
        version,
        b"mntrRGB XYZ ",
        _FIXED_DATE,
        b"acsp",
        bytes(28),
        _D50,
        bytes(48),
    )
    return head + table + body
