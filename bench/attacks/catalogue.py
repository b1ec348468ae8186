"""Every attack by name.

`+q70` means that the result is saved as JPEG at quality 70. Most other results are saved as PNG;
attacks of several steps (`social`, `wash`, ...) end in a lossy format of their own.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from bench.attacks.bend import lens, perspective, wobble
from bench.attacks.frame import (
    at_most,
    cut_sides,
    keep_area,
    mirror,
    quarter_turn,
    scale,
    stretch,
    turn,
    turn_whole,
)
from bench.attacks.grain import bilateral, blur, down_and_up, median, nlmeans, noise, salt, sharpen
from bench.attacks.kinds import Attack, Rgb, Rng, attack, save_and_load
from bench.attacks.overlay import black_bars, blur_region, borders, caption, collage, sticker, tiles
from bench.attacks.save import avif, heic, jpeg, load, png, webp
from bench.attacks.screens import print_scan, screen_photo, screenshot
from bench.attacks.tones import (
    FILTERS,
    clahe,
    contrast,
    gamma,
    grey,
    invert,
    posterise,
    saturate,
    sepia,
)

_SOCIAL: Final = (at_most(1_600), save_and_load(jpeg(70), load))
_SOCIAL_3: Final = (
    at_most(1_600),
    save_and_load(jpeg(75), load),
    at_most(1_280),
    save_and_load(webp(70), load),
    at_most(1_080),
)
_WASH: Final = (nlmeans(8), down_and_up(0.4), save_and_load(jpeg(40), load), blur(0.6))


def regenerate(rgb: Rgb, rng: Rng) -> Rgb:
    """Regenerate the picture with a codec: reduce it to 0.7 of its size and at most 768 px, save it
    as AVIF at quality 35, and enlarge it to its old size, but at most 2,048 px.
    """
    high, wide = rgb.shape[:2]
    small = at_most(min(768, round(0.7 * max(high, wide))))(rgb, rng)
    codec = save_and_load(avif(35), load)(small, rng)
    back = min(1.0, 2_048 / max(high, wide)) * max(high, wide) / max(codec.shape[:2])
    return scale(back)(codec, rng)


CORE: Final[Mapping[str, Attack]] = MappingProxyType(
    {f"q{q}": attack(save=jpeg(q)) for q in (85, 70, 50, 30, 20)}
    | {
        "to320+q70": attack(at_most(320), save=jpeg(70)),
        "resize50": attack(scale(0.5), save=png),
        "resize25": attack(scale(0.25), save=png),
        "crop5+q70": attack(cut_sides(0.05), save=jpeg(70)),
        "crop15+q70": attack(cut_sides(0.15), save=jpeg(70)),
        "crop50+q70": attack(keep_area(0.5), save=jpeg(70)),
        "crop50+resize50+q50": attack(keep_area(0.5), scale(0.5), save=jpeg(50)),
        "crop30+q70": attack(keep_area(0.3), save=jpeg(70)),
        "mirror+q70": attack(mirror, save=jpeg(70)),
        "rot3+q70": attack(turn(3), save=jpeg(70)),
        "rot10+q70": attack(turn(10), save=jpeg(70)),
        "noise15": attack(noise(15), save=png),
        "caption+q70": attack(caption, save=jpeg(70)),
        "screenshot": attack(screenshot(dark=False), save=png),
        "screenshot-dark+q70": attack(screenshot(dark=True), save=jpeg(70)),
        "social": attack(*_SOCIAL, save=jpeg(70)),
        "social-3": attack(*_SOCIAL_3, save=jpeg(65)),
        "screen-photo": attack(screen_photo, save=jpeg(80)),
        "screen-photo+social": attack(screen_photo, *_SOCIAL, save=jpeg(70)),
    }
    | {f"filter-{look}+q70": attack(edit, save=jpeg(70)) for look, edit in FILTERS.items()}
)
"""Ordinary leaks."""

HARD: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        "q10": attack(save=jpeg(10)),
        "crop10+q70": attack(keep_area(0.1), save=jpeg(70)),
        "resize15": attack(scale(0.15), save=png),
        "wash": attack(*_WASH, save=jpeg(40)),
        "regenerate": attack(regenerate, save=webp(60)),
        "nlmeans10": attack(nlmeans(10), save=png),
        "wobble": attack(wobble(0.003, 6), save=png),
        "noise30": attack(noise(30), save=png),
        "screenshot-twice": attack(
            screenshot(dark=False),
            save_and_load(jpeg(80), load),
            screenshot(dark=True),
            save=jpeg(75),
        ),
        "print-scan": attack(print_scan, save=jpeg(75)),
        "collage+q70": attack(collage(3), save=jpeg(70)),
        "rot37+q70": attack(turn(37), save=jpeg(70)),
        "posterize8": attack(posterise(8), save=png),
    }
)
"""Leaks that cost some of the picture."""

OTHER: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        "none": attack(save=png),
        "q95": attack(save=jpeg(95)),
        "webp50": attack(save=webp(50)),
        "webp20": attack(save=webp(20)),
        "avif50": attack(save=avif(50)),
        "avif30": attack(save=avif(30)),
        "heic40": attack(save=heic(40)),
        "resize75": attack(scale(0.75), save=png),
        "stretch": attack(stretch(0.8), save=png),
        "turn90+q70": attack(quarter_turn, save=jpeg(70)),
        "rot10-all+q70": attack(turn_whole(10), save=jpeg(70)),
        "perspective": attack(perspective(0.06), save=png),
        "lens": attack(lens(0.08), save=png),
        "gamma0.6": attack(gamma(0.6), save=png),
        "gamma1.7": attack(gamma(1.7), save=png),
        "contrast1.5": attack(contrast(1.5), save=png),
        "contrast0.5": attack(contrast(0.5), save=png),
        "saturate2": attack(saturate(2.0), save=png),
        "grey": attack(grey, save=png),
        "sepia+q70": attack(sepia, save=jpeg(70)),
        "invert": attack(invert, save=png),
        "clahe+q80": attack(clahe, save=jpeg(80)),
        "noise5": attack(noise(5), save=png),
        "salt5": attack(salt(0.05), save=png),
        "blur1": attack(blur(1.0), save=png),
        "blur3": attack(blur(3.0), save=png),
        "median5": attack(median(5), save=png),
        "sharpen": attack(sharpen, save=png),
        "bilateral": attack(bilateral, save=png),
        "sticker+q70": attack(sticker, save=jpeg(70)),
        "blur-region+q70": attack(blur_region, save=jpeg(70)),
        "tiles+q70": attack(tiles, save=jpeg(70)),
        "borders+q70": attack(borders, save=jpeg(70)),
        "black-bars+q70": attack(black_bars, save=jpeg(70)),
    }
)
"""The rest of the grid."""

RUIN: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        "q5": attack(save=jpeg(5)),
        "to160+q50": attack(at_most(160), save=jpeg(50)),
        "to100": attack(at_most(100), save=png),
        "to64": attack(at_most(64), save=png),
        "crop-to-5+q70": attack(keep_area(0.05), save=jpeg(70)),
        "crop-to-3+q70": attack(keep_area(0.03), save=jpeg(70)),
        "blur6": attack(blur(6.0), save=png),
        "median9": attack(median(9), save=png),
        "wash-twice": attack(*_WASH, *_WASH, save=jpeg(40)),
        "denoise+avif+320": attack(nlmeans(10), at_most(320), save=avif(40)),
        "jitter": attack(wobble(0.004, 60), save=png),
    }
)
"""Attacks that leave no picture worth leaking; they show where tracing stops working."""

FAINT: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        "to80+q30": attack(at_most(80), save=jpeg(30)),
        "to64+q50": attack(at_most(64), save=jpeg(50)),
        "to120+q20": attack(at_most(120), save=jpeg(20)),
        "to160+q10": attack(at_most(160), save=jpeg(10)),
        "blur4+q30": attack(blur(4.0), save=jpeg(30)),
        "noise60+q30": attack(noise(60), save=jpeg(30)),
        "noise100": attack(noise(100), save=png),
        "to120+avif20": attack(at_most(120), save=avif(20)),
        "resize25+q30": attack(scale(0.25), save=jpeg(30)),
        "q2": attack(save=jpeg(2)),
    }
)
"""Attacks after which a mark is barely detectable; they serve to calibrate likelihood ratios."""

ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType({**CORE, **HARD, **OTHER, **RUIN, **FAINT})
"""All attacks, by name."""


def leak(name: str, rgb: Rgb, rng: Rng) -> bytes:
    """Return the file that a leaker would upload after this attack.

    Raises:
        KeyError: there is no attack of this name.
    """
    return ATTACKS[name](np.ascontiguousarray(rgb), rng)
