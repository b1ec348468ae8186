"""How a picture had been written: enough to write a copy alike, nothing that identifies it."""

from typing import Any, Final

from entrenous.model.picture import Encoding, PictureFormat

_GREY_MODES: Final = frozenset({"1", "L", "LA", "La"})
_PNG_GREY: Final = frozenset({0, 4})  # W3C PNG, 11.2.1: colour types without colour
_SUBSAMPLING: Final[dict[tuple[tuple[int, int], ...], str]] = {
    ((1, 1), (1, 1), (1, 1)): "4:4:4",
    ((2, 1), (1, 1), (1, 1)): "4:2:2",
    ((2, 2), (1, 1), (1, 1)): "4:2:0",
}
_HEIF_CHROMA: Final = {444: "4:4:4", 422: "4:2:2", 420: "4:2:0"}
_TURNED: Final = tuple(8 * column + row for row in range(8) for column in range(8))


def encoding_of(
    kind: PictureFormat, image: Any, untrusted_data: bytes, *, axes_swapped: bool
) -> Encoding:
    """How a loaded Pillow image was written; ``axes_swapped``: it will be turned by 90 degrees."""
    grey = image.mode in _GREY_MODES or image.mode.startswith("I;16")
    if kind is PictureFormat.JPEG:
        return _jpeg(image, grey=grey, axes_swapped=axes_swapped)
    if kind is PictureFormat.PNG:
        return Encoding(kind, grey=untrusted_data[25] in _PNG_GREY)
    if kind is PictureFormat.WEBP:
        return Encoding(kind, lossless=_is_lossless_webp(untrusted_data))
    if kind is PictureFormat.HEIC:
        return Encoding(kind, grey=grey, subsampling=_HEIF_CHROMA.get(image.info.get("chroma")))
    return Encoding(kind, grey=grey)


def _jpeg(image: Any, *, grey: bool, axes_swapped: bool) -> Encoding:
    """ITU-T T.81, B.2.2: each component names its sampling factors and its table.

    The tables come out as luma in slot 0, chroma in slot 1, whatever the file called them, and
    turned with the picture. CMYK tables say nothing about a copy in YCbCr, so they are left out.
    """
    layers = image.layer
    if len(layers) not in (1, 3):
        return Encoding(PictureFormat.JPEG, grey=grey)
    tables = {
        slot: _turned(image.quantization[layer[3]], axes_swapped=axes_swapped)
        for slot, layer in enumerate(layers[:2])
    }
    subsampling = _SUBSAMPLING.get(tuple((layer[1], layer[2]) for layer in layers))
    if subsampling == "4:2:2" and axes_swapped:
        subsampling = None
    return Encoding(PictureFormat.JPEG, grey, tables, subsampling)


def _turned(table: list[int], *, axes_swapped: bool) -> tuple[int, ...]:
    return tuple(table[at] for at in _TURNED) if axes_swapped else tuple(table)


def _is_lossless_webp(untrusted_data: bytes) -> bool:
    """RFC 9649, 2.5 to 2.7: the first image chunk, alone or inside the first frame."""
    at, end = 12, len(untrusted_data)
    while at + 8 <= end:
        name = untrusted_data[at : at + 4]
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8L"
        size = int.from_bytes(untrusted_data[at + 4 : at + 8], "little")
        at += 8 + (16 if name == b"ANMF" else size + (size & 1))
    return False
