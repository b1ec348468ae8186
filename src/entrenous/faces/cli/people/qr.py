"""QR codes: as a picture in a file or drawn on the terminal, and read from a picture."""

import io
from typing import Final

import segno

from entrenous.craft.media.jail import decode_untrusted
from entrenous.model.compare import NoCode

_PIXELS: Final = 8  # of one square of the code
_SIDES_PX: Final = (1600, 1000, 640, 400)  # longest sides at which a code is looked for


def qr_picture(link: str) -> bytes:
    """A PNG file that phones read, also from a screen (ISO/IEC 18004, error correction M)."""
    file = io.BytesIO()
    segno.make(link, error="m", micro=False).save(file, kind="png", scale=_PIXELS)
    return file.getvalue()


def qr_read(untrusted_data: bytes) -> str:
    """The text of the QR code in a picture: the file is decoded in a jail, and its pixels are
    searched here, at several sizes, since a code may be missed at one and found at another.

    Raises:
        NoCode; NotAPicture and its like.
    """
    import cv2  # noqa: PLC0415 - only a code in a picture needs it
    import numpy as np  # noqa: PLC0415 - as above

    pixels = np.asarray(decode_untrusted(untrusted_data))
    for side_px in _SIDES_PX:
        factor = min(1.0, side_px / max(pixels.shape[:2]))
        smaller = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        for reader in (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco()):
            text, _, _ = reader.detectAndDecode(np.ascontiguousarray(smaller))
            if text:
                return str(text)
    raise NoCode


def qr_text(link: str) -> str:
    """Lines of half blocks with a light frame, for a dark terminal; two rows of squares a line.

    Correction L: an invite then fits 80 columns, and a screen has no scratches.
    """
    squares = [list(row) for row in segno.make(link, error="l", micro=False).matrix_iter(border=4)]
    if len(squares) % 2:
        squares.append([1] * len(squares[0]))
    pairs = zip(squares[::2], squares[1::2], strict=True)
    lines = ([_BLOCKS[square] for square in zip(*pair, strict=True)] for pair in pairs)
    return "\n".join(map("".join, lines))


_BLOCKS: Final = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
