"""Measure blind watermarks from PyPI on the same photographs and attacks, in the same run.

Each recipient's copy carries a random number of 64 bits. A leak is resized to the original's size,
which the sender knows and both packages need, and its number is read. The nearest of the 24 numbers
is named if a random number would come as near to any of them with a chance of at most 1e-6. That is
more lenient than requiring every bit. It guarantees as much as our verdict only if wrong bits are
as random as coin flips, which nobody has proven.

`invisible-watermark` imports torch in its `__init__` for a third method that is not used here. So
the classes of its other two methods are loaded, unchanged, from their own files.
"""

import contextlib
import importlib.util
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.attacks import leak
from bench.attacks.frame import resize_to
from bench.attacks.kinds import Rgb
from bench.attacks.save import jpeg
from bench.tracing.copies import psnr
from bench.tracing.grid import Cell
from bench.tracing.memory_sender import RECIPIENTS, decoded, people

BITS: Final = 64
ALPHA: Final = 1e-6
_WRITTEN_QUALITY: Final = 95  # the quality of our own originals

Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Peer:
    """A watermarking method: how to hide bits in a picture, and how to read them from one."""

    name: str
    hide: Callable[[Rgb, Bits], Rgb]
    read: Callable[[Rgb], Bits]


@dataclass(frozen=True, slots=True)
class PeerRow:
    """A peer's result for one leak.

    ``distance`` is the number of bits, of 64, in which the leak differs from the leaker's number;
    ``psnr_db`` is the PSNR of the copy before it is saved as JPEG.
    """

    peer: str
    photo: str
    size: str
    attack: str
    right: bool
    wrong: bool
    distance: int
    psnr_db: float


def installed() -> dict[str, Peer]:
    """Return the installed peers by name."""
    found = {}
    if importlib.util.find_spec("imwatermark") and importlib.util.find_spec("pywt"):
        found |= {name: _invisible(name) for name in ("dwtDct", "dwtDctSvd")}
    if importlib.util.find_spec("blind_watermark"):
        found["blind-watermark"] = _blind()
    return found


class Sending:
    """A photograph sent with a peer's marks; each copy is made when it is first needed."""

    def __init__(self, peer: Peer, original: Rgb, seed: int) -> None:
        self.peer, self.original = peer, original
        numbers = np.random.default_rng((seed, 64)).integers(0, 2, (len(people()), BITS))
        self.numbers: Mapping[str, Bits] = dict(zip(people(), numbers.astype(bool), strict=True))
        self._written: dict[str, bytes] = {}
        self.psnr_db: dict[str, float] = {}

    def copy(self, who: str) -> bytes:
        """Return a recipient's copy as a JPEG file."""
        if who not in self._written:
            marked = self.peer.hide(self.original, self.numbers[who])
            self.psnr_db[who] = psnr(self.original, marked)
            self._written[who] = jpeg(_WRITTEN_QUALITY)(marked)
        return self._written[who]

    def traced(self, found: bytes) -> tuple[str | None, dict[str, int]]:
        """Return the named recipient, or None, and the leak's distance in bits from each number."""
        high, wide = self.original.shape[:2]
        read_bits = self.peer.read(resize_to(decoded(found), wide, high))
        distances = {who: int((read_bits != number).sum()) for who, number in self.numbers.items()}
        nearest = min(distances, key=lambda who: distances[who])
        return (nearest if distances[nearest] <= radius() else None), distances


def compared(cell: Cell, sending: Sending) -> PeerRow:
    """Measure a peer with the leaker and the attack that our own method gets in this cell."""
    rng = cell.rng()
    who = str(rng.choice(list(sending.numbers)))
    named, distances = sending.traced(leak(cell.attack, decoded(sending.copy(who)), rng))
    return PeerRow(
        peer=sending.peer.name,
        photo=cell.photo,
        size=cell.size.value,
        attack=cell.attack,
        right=named == who,
        wrong=named not in (who, None),
        distance=distances[who],
        psnr_db=sending.psnr_db[who],
    )


def radius(bits: int = BITS, tries: int = RECIPIENTS) -> int:
    """Return how many wrong bits are allowed in a number that is read from a leak.

    With so many wrong bits, a random number comes as near to any of ``tries`` numbers with a chance
    of at most 1e-6.
    """
    mass, forgiven = 0.0, -1
    while True:
        mass += math.comb(bits, forgiven + 1) / 2.0**bits
        if tries * mass > ALPHA:
            return forgiven
        forgiven += 1


def _module(package: str, file: str) -> ModuleType:
    origin = importlib.util.find_spec(package)
    folder = Path(str(origin.origin)).parent if origin else Path()
    spec = importlib.util.spec_from_file_location(f"peer_{file}", folder / f"{file}.py")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(package)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _invisible(name: str) -> Peer:
    file, kind = {
        "dwtDct": ("maxDct", "EmbedMaxDct"),
        "dwtDctSvd": ("dwtDctSvd", "EmbedDwtDctSvd"),
    }[name]
    maker: Any = getattr(_module("imwatermark", file), kind)

    def hide(rgb: Rgb, bits: Bits) -> Rgb:
        made = maker([int(bit) for bit in bits], wmLen=BITS).encode(_bgr(rgb))
        return _bgr(np.asarray(made, np.uint8))

    def read(rgb: Rgb) -> Bits:
        return np.asarray(maker(wmLen=BITS).decode(_bgr(rgb)), bool)

    return Peer(name, hide, read)


def _blind() -> Peer:
    with contextlib.redirect_stdout(io.StringIO()):
        import blind_watermark  # noqa: PLC0415 -- it speaks when it is imported

        blind_watermark.bw_notes.close()

    def hide(rgb: Rgb, bits: Bits) -> Rgb:
        mark = blind_watermark.WaterMark(password_img=1, password_wm=1)
        mark.read_img(img=_bgr(rgb))
        mark.read_wm(bits.copy(), mode="bit")
        return _bgr(np.clip(np.rint(mark.embed()), 0, 255).astype(np.uint8))

    def read(rgb: Rgb) -> Bits:
        mark = blind_watermark.WaterMark(password_img=1, password_wm=1)
        return np.asarray(mark.extract(embed_img=_bgr(rgb), wm_shape=BITS, mode="bit"), bool)

    return Peer("blind-watermark", hide, read)


def _bgr(rgb: Rgb) -> Rgb:
    return np.ascontiguousarray(rgb[..., ::-1])
