"""A verdict in words: how the found picture lies, what a chance means, how strong the support is.

Nothing here says more than the figures: powers of ten are rounded so that a chance is never shown
smaller, and a ratio never larger, than it is.
"""

import math
from collections.abc import Sequence
from typing import Final

from entrenous.model.several import several
from entrenous.model.verdict import Span, Warp

_STRAIGHT_DEG: Final = 0.5
_WHOLE: Final = 0.985
_SAME_SCALE: Final = 0.01
_SAME_SPEED: Final = 0.002
_SAME_TIME_S: Final = 0.1  # a few frames: what a short clip cannot tell from none
_SMALL: Final = 1e-30
_POWER_MAX: Final = (
    15  # beyond it model error outweighs arithmetic: nobody should read more into it
)

# ENFSI guideline for evaluative reporting in forensic science (2015), its example of a scale: from
# which likelihood ratio on the findings are said to give which support. Largest first.
SCALE: Final = (
    (1e6, "extremely strong support"),
    (1e4, "very strong support"),
    (1e3, "strong support"),
    (1e2, "moderately strong support"),
    (1e1, "moderate support"),
    (2.0, "weak support"),
)
NO_SUPPORT: Final = "no support either way"
_LUCK: Final = 2.0  # standard deviations by which a score may fall short of its forecast


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


def how_large(scale: float) -> str:
    """Its size in the found file, compared with the sent one."""
    if abs(scale - 1.0) <= _SAME_SCALE:
        return "the same size as sent"
    return f"shown at {100 * scale:.0f} % of the size it was sent in"


def which_part(span: Span) -> str:
    """Which part of a sent clip or sound was found."""
    at = f"{span.start_s:.1f} s after its start"
    if span.length_s == 0.0:
        return f"one frame, {at}"
    off = abs(span.speed - 1.0)
    if off <= _SAME_SPEED or off * span.length_s <= _SAME_TIME_S:
        return f"{span.length_s / span.speed:.1f} s of it, from {at}"  # as long as it plays
    part = f"{span.length_s:.1f} s of it, from {at}"
    faster = "faster" if span.speed > 1.0 else "slower"
    return f"{part}, played {100 * off:.1f} % {faster}"


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


def support(ratio: float) -> str:
    """A likelihood ratio on the verbal scale of ENFSI's guideline (2015)."""
    return next((words for least, words in SCALE if ratio >= least), NO_SUPPORT)


def times_likelier(ratio: float) -> str:
    """What a likelihood ratio means, as a sentence; rounded down."""
    if ratio < SCALE[-1][0]:
        return "What was found is about as likely with this copy as with one that was not used."
    power = math.floor(math.log10(ratio))
    count = _count(power) if power >= 1 else f"{math.floor(ratio)}"
    return (
        f"What was found is more than {count} times likelier if this copy was used than if it was "
        "not."
    )


def ratio_in_digits(ratio: float) -> str:
    """A likelihood ratio for a table: two digits, rounded down, and no more than one can use."""
    if ratio < SCALE[-1][0]:
        return "below 2"
    if ratio > 1.0 / _SMALL:
        return f"above {1.0 / _SMALL:g}".replace("e+", "e")
    step = 10.0 ** (math.floor(math.log10(ratio)) - 1)
    return f"{math.floor(ratio / step) * step:.2g}".replace("e+", "e")


def what_was_missing(forecast: float, needed: float) -> str:
    """After "nobody": whether this file could have told, and if not, how much more it takes.

    ``forecast`` is the score that a copy's mark was expected to reach in this file, at the most,
    made without any key; ``needed`` the one that names a copy. Neither clears anybody.
    """
    if forecast >= needed + _LUCK:
        return (
            "By its looks enough is left in this file to hear a copy's mark, and none was heard. "
            "It may be your own original, a version that was made to hide its mark, or come from "
            "a copy that this device does not know. This clears nobody."
        )
    more = ((needed + _LUCK) / max(forecast, 0.1)) ** 2  # a score grows with the root of the area
    if more > 100.0:
        return (
            "Next to nothing of any mark could be left in this file, so it can't tell. A much "
            "larger or less compressed version may tell. This clears nobody."
        )
    times = max(2, math.ceil(more))
    return (
        "There is too little left in this file to tell. It would take a version that shows about "
        f"{times} times as many pixels of the picture or more, or one that was compressed or "
        "blurred less. This clears nobody."
    )


def what_is_lost(messages: Sequence[str]) -> str:
    """Which messages' copies could not be looked at, why, and what may help."""
    return (
        f"What this device kept of {several(messages)} to compare with cannot be read any more, so "
        "those copies were not looked at. An archive that you made before may still hold it: read "
        "that in on a new device, and trace there."
    )


def _count(power: int) -> str:
    if power > _POWER_MAX:
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
