"""A verdict in words: how the found picture lies, and what a chance means."""

import math

from entrenous.model.verdict import Warp

_STRAIGHT_DEG = 0.5
_WHOLE = 0.985
_SMALL = 1e-30


def how_it_lies(warp: Warp) -> str:
    """What was done to the picture, in a few words, e.g. "cropped to 71 %, mirrored"."""
    done = []
    if warp.kept < _WHOLE:
        done.append(f"cropped to {100 * warp.kept:.0f} %")
    if warp.mirrored:
        done.append("mirrored")
    if abs(warp.turned_deg) > _STRAIGHT_DEG:
        done.append(f"turned by {abs(warp.turned_deg):.0f} degrees")
    return ", ".join(done) if done else "the whole of it"


def odds(chance: float) -> str:
    """A small chance as a sentence; the power of ten is rounded down, so that it never says too
    much.
    """
    power = math.floor(-math.log10(max(chance, 1e-300)))
    return f"Any other copy would fit this well less than once in {_count(power)} tries."


def in_digits(chance: float) -> str:
    """A chance for a table: two digits, rounded up, and no more than the mind can use."""
    return f"{rounded_up(chance, 2):g}" if chance >= _SMALL else f"below {_SMALL:g}"


def rounded_up(chance: float, digits: int) -> float:
    """A chance with so many digits, never smaller than it is, and at most 1."""
    step = 10.0 ** (math.floor(math.log10(chance)) - digits + 1)
    near = float(f"{math.ceil(chance / step) * step:.{digits - 1}e}")
    return min(1.0, near if near >= chance else float(f"{near + step:.{digits - 1}e}"))


def _count(power: int) -> str:
    # Beyond this, model error outweighs the arithmetic: nobody should read more into the figure.
    if power > 15:
        return "a million billion"
    names = {
        3: "thousand",
        6: "million",
        9: "billion",
        12: "thousand billion",
        15: "million billion",
    }
    step = 3 * (power // 3)
    return f"{10 ** (power - step)} {names[step]}" if step else str(10**power)
