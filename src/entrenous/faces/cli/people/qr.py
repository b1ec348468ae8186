"""QR codes of links: as a picture in a file, or drawn on the terminal."""

import io
from typing import Final

import segno

_PIXELS: Final = 8  # of one square of the code


def qr_picture(link: str) -> bytes:
    """A PNG file that phones read, also from a screen (ISO/IEC 18004, error correction M)."""
    file = io.BytesIO()
    segno.make(link, error="m", micro=False).save(file, kind="png", scale=_PIXELS)
    return file.getvalue()


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
