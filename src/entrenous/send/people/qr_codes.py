"""QR codes (ISO/IEC 18004): as a picture, as text for a terminal, or read from a picture."""

import io
from typing import Final

import segno

from entrenous.media.sandbox.decoders import decode_picture_untrusted
from entrenous.send.people.people_nouns import NoCodeInPicture

_PIXELS_PER_SQUARE: Final = 8  # pixels for each square of the code
_SEARCH_SIDES_PX: Final = (
    1600,
    1000,
    640,
    400,
)  # longest sides, in pixels, at which a code is looked for


def qr_picture(link: str) -> bytes:
    """Return a QR code as a PNG that phones read from a screen (ISO/IEC 18004, correction M)."""
    file = io.BytesIO()
    segno.make(link, error="m", micro=False).save(file, kind="png", scale=_PIXELS_PER_SQUARE)
    return file.getvalue()


def read_qr_code(untrusted_data: bytes) -> str:
    """Read the QR code in a picture. The file is decoded in the sandbox. Its pixels are searched
    here at several sizes, since a code that is missed at one size may be found at another.

    Raises:
        NoCodeInPicture, and the decoding errors, such as NotAPicture.
    """
    import cv2  # noqa: PLC0415 - only a code in a picture needs it
    import numpy as np  # noqa: PLC0415 - only a code in a picture needs it

    pixels = np.asarray(decode_picture_untrusted(untrusted_data))
    for side_px in _SEARCH_SIDES_PX:
        factor = min(1.0, side_px / max(pixels.shape[:2]))
        smaller = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        for reader in (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco()):
            text, _, _ = reader.detectAndDecode(np.ascontiguousarray(smaller))
            if text:
                return str(text)
    raise NoCodeInPicture


def qr_terminal_text(link: str) -> str:
    """Draw a QR code in half blocks for a dark terminal, two rows of squares per line, with a light
    frame.

    It uses correction level L, so that an invite fits into 80 columns.
    """
    squares = [list(row) for row in segno.make(link, error="l", micro=False).matrix_iter(border=4)]
    if len(squares) % 2:
        squares.append([1] * len(squares[0]))
    pairs = zip(squares[::2], squares[1::2], strict=True)
    lines = ([_BLOCK_CHARS[square] for square in zip(*pair, strict=True)] for pair in pairs)
    return "\n".join(map("".join, lines))


_BLOCK_CHARS: Final = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
