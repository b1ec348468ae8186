"""The sentences of a report, the same on the page and in the PDF (docs/words.md)."""

import math
from collections.abc import Sequence
from typing import Final

from entrenous.base.copies import join_names
from entrenous.base.language import plural, translatable, translated
from entrenous.watermark.verdict import (
    Finding,
    FurtherMessageVerdict,
    MatchedSpan,
    PictureWarp,
    Verdict,
)

_STRAIGHT_DEG_MAX: Final = 0.5
_WHOLE_SHARE_MIN: Final = 0.985
_SAME_SCALE_TOLERANCE: Final = 0.01
_SAME_SPEED_TOLERANCE: Final = 0.002
# about three frames; a smaller difference cannot be measured in a short clip
_SAME_TIME_TOLERANCE_S: Final = 0.1
_CHANCE_SHOWN_MIN: Final = 1e-30
_POWER_OF_TEN_IN_WORDS_MAX: Final = (
    15  # for still smaller chances, errors of the model outweigh the computed value
)
# Example scale of the ENFSI guideline for evaluative reporting in forensic science (2015): the
# least likelihood ratio for each degree of support, largest first.
SUPPORT_WORDS_BY_LIKELIHOOD_RATIO: Final = (
    (1e6, translatable("extremely strong support")),
    (1e4, translatable("very strong support")),
    (1e3, translatable("strong support")),
    (1e2, translatable("moderately strong support")),
    (1e1, translatable("moderate support")),
    (2.0, translatable("weak support")),
)
NO_SUPPORT_WORDS: Final = translatable("no support either way")
# a copy's score may be this many standard deviations below its forecast
_FORECAST_MARGIN: Final = 2.0


def describe_alignment(warp: PictureWarp) -> str:
    """Describe crop, mirroring and rotation in a few words, e.g. "cropped to 71 %, mirrored"."""
    done = []
    if warp.kept < _WHOLE_SHARE_MIN:
        done.append(translated("cropped to {percent:.0f} %").format(percent=100 * warp.kept))
    if warp.mirrored:
        done.append(translated("mirrored"))
    if abs(warp.turned_deg) > _STRAIGHT_DEG_MAX:
        done.append(
            translated("turned by {degrees:.0f} degrees").format(degrees=abs(warp.turned_deg))
        )
    return ", ".join(done) if done else translated("the whole of it")


def describe_scale(scale: float) -> str:
    """Describe the picture's size in the found file, relative to the size in which it was sent."""
    if abs(scale - 1.0) <= _SAME_SCALE_TOLERANCE:
        return translated("the same size as sent")
    return translated("shown at {percent:.0f} % of the size it was sent in").format(
        percent=100 * scale
    )


def describe_matched_span(span: MatchedSpan) -> str:
    at = translated("{start_s:.1f} s after its start").format(start_s=span.start_s)
    if span.length_s == 0.0:
        return translated("one frame, {at}").format(at=at)
    off = abs(span.speed - 1.0)
    if off <= _SAME_SPEED_TOLERANCE or off * span.length_s <= _SAME_TIME_TOLERANCE_S:
        return translated("{length_s:.1f} s of it, from {at}").format(
            length_s=span.length_s / span.speed, at=at
        )  # the length is the playing time of the found clip
    part = translated("{length_s:.1f} s of it, from {at}").format(length_s=span.length_s, at=at)
    if span.speed > 1.0:
        words = translated("{part}, played {percent:.1f} % faster")
    else:
        words = translated("{part}, played {percent:.1f} % slower")
    return words.format(part=part, percent=100 * off)


def chance_in_words(chance: float) -> str:
    """Return a small chance as a sentence; its power of ten is rounded towards a larger chance."""
    power = math.floor(-math.log10(max(chance, 1e-300)))
    return translated("Any other copy would fit this well less than once in {count} tries.").format(
        count=_power_of_ten_in_words(power)
    )


def chance_in_digits(chance: float) -> str:
    """Return a chance for a table: two digits, rounded up. A tiny chance is shown as a limit."""
    return (
        f"{chance_rounded_up(chance, 2):g}"
        if chance >= _CHANCE_SHOWN_MIN
        else translated("below {number}").format(number=f"{_CHANCE_SHOWN_MIN:g}")
    )


def chance_rounded_up(chance: float, digits: int) -> float:
    """Return a chance rounded up to ``digits`` significant digits, at most 1."""
    step = 10.0 ** (math.floor(math.log10(chance)) - digits + 1)
    near = float(f"{math.ceil(chance / step) * step:.{digits - 1}e}")
    return min(1.0, near if near >= chance else float(f"{near + step:.{digits - 1}e}"))


def support_in_words(ratio: float) -> str:
    """Return the words for a likelihood ratio on the scale of the ENFSI guideline (2015)."""
    return translated(
        next(
            (words for least, words in SUPPORT_WORDS_BY_LIKELIHOOD_RATIO if ratio >= least),
            NO_SUPPORT_WORDS,
        )
    )


def likelihood_ratio_in_words(ratio: float) -> str:
    """Return a likelihood ratio as a sentence, rounded down."""
    if ratio < SUPPORT_WORDS_BY_LIKELIHOOD_RATIO[-1][0]:
        return translated(
            "What was found is about as likely with this copy as with one that was not used."
        )
    power = math.floor(math.log10(ratio))
    count = _power_of_ten_in_words(power) if power >= 1 else f"{math.floor(ratio)}"
    return translated(
        "What was found is more than {count} times likelier if this copy was used than if "
        "it was not."
    ).format(count=count)


def likelihood_ratio_in_digits(ratio: float) -> str:
    """Return a likelihood ratio for a table: two digits, rounded down, with an upper limit."""
    if ratio < SUPPORT_WORDS_BY_LIKELIHOOD_RATIO[-1][0]:
        return translated("below {number}").format(number=2)
    if ratio > 1.0 / _CHANCE_SHOWN_MIN:
        return translated("above {number}").format(
            number=f"{1.0 / _CHANCE_SHOWN_MIN:g}".replace("e+", "e")
        )
    step = 10.0 ** (math.floor(math.log10(ratio)) - 1)
    return f"{math.floor(ratio / step) * step:.2g}".replace("e+", "e")


def explain_nobody_named(forecast: float, needed: float) -> str:
    """If nobody is named, say whether this file shows enough for any copy to be named.

    If it does not, say how much more of the picture is needed. ``forecast`` is the score to be
    expected of the copy that leaked, if its mark still has full strength; it was computed without
    any copy's key. ``needed`` is the lowest score that names a copy.
    """
    if forecast >= needed + _FORECAST_MARGIN:
        return translated(
            "Enough seems to be left in this file to find a copy's mark, but none was found. "
            "It may be your own original, a version that was made to hide its mark, or come "
            "from a copy that this device does not know. This clears nobody."
        )
    more = (
        (needed + _FORECAST_MARGIN) / max(forecast, 0.1)
    ) ** 2  # a copy's score grows with the square root of the area
    if more > 100.0:
        return translated(
            "Next to nothing of any mark could be left in this file, so it can't tell. A much "
            "larger or less compressed version may tell. This clears nobody."
        )
    times = max(2, math.ceil(more))
    return translated(
        "There is too little left in this file to tell. It would take a version that shows "
        "about {times} times as many pixels of the picture or more, or one that was "
        "compressed or blurred less. This clears nobody."
    ).format(times=times)


def missing_messages_line(messages: Sequence[str]) -> str:
    """Say which messages' copies could not be compared, why, and what may help."""
    return translated(
        "The files of {names} on this device are missing or damaged, so these copies were "
        "not compared. An archive that you made before may still have them: read it in on "
        "a new device, and trace there."
    ).format(names=join_names(messages))


def _power_of_ten_in_words(power: int) -> str:
    if power > _POWER_OF_TEN_IN_WORDS_MAX:
        return translated("a million billion")
    step = 3 * (power // 3)
    count = 10 ** (power - step)
    names = {
        0: str(count),
        3: plural("{count} thousand", "{count} thousand", count),
        6: plural("{count} million", "{count} million", count),
        9: plural("{count} billion", "{count} billion", count),
        12: plural("{count} thousand billion", "{count} thousand billion", count),
        15: plural("{count} million billion", "{count} million billion", count),
    }
    return names[step]


# with more named copies than this, their figures are not written as full sentences
_COPIES_EXPLAINED_IN_FULL_MAX: Final = 3
NOT_WHO_PASSED_IT_ON: Final = translatable("This says whose copy got out, not who passed it on.")
FINDING_CAVEATS: Final = (
    (
        translatable("Who passed it on."),
        (
            translatable(
                "The finding names a copy. A device can be lost, stolen or read from outside, a "
                "screen can be photographed by somebody else, and a copy can be passed on by "
                "whoever got it next."
            )
        ),
    ),
    (
        translatable("That anybody is cleared."),
        (
            translatable(
                "A copy that is not named may still be part of what happened: its mark may have "
                "been drowned by other copies or by damage to the file."
            )
        ),
    ),
    (
        translatable("That it was not the sender."),
        (
            translatable(
                "The sender's device holds the secrets of all copies and could make each of them "
                "anew. So this report convinces a sender who knows what she did herself; against a "
                "sender who wants to put blame on somebody, it is no proof. What can speak to that "
                "lies outside of it: the recipient's own copy, records of when copies were made "
                "and received."
            )
        ),
    ),
    (
        translatable("What the picture shows."),
        translatable(
            "Nothing here says whether the picture is genuine, when it was taken, or who is in it."
        ),
    ),
    (
        translatable("More than the figures support."),
        (
            translatable(
                "The chance counts accidents, not faults: an error in the program, a wrong label "
                "in the sender's list or a stolen secret is not in it. Beyond one in a million "
                "billion such doubts outweigh the arithmetic."
            )
        ),
    ),
)


def translated_caveats() -> tuple[tuple[str, str], ...]:
    """Return what a finding does not say, as pairs of a heading and its sentences."""
    return tuple((translated(title), translated(words)) for title, words in FINDING_CAVEATS)


def finding_line(finding: Finding) -> str:
    return {
        Finding.ONE: translated("The found file was made from one copy"),
        Finding.SEVERAL: translated("The found file was made from several copies"),
        Finding.NOBODY: translated("No copy stands out"),
    }[finding]


def named_copy_lines(verdict: Verdict, shown_labels: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return lines for each named copy: whom it was made for, the chance, the likelihood ratio.

    If few copies are named, the figures are full sentences; otherwise they are short.
    """
    say = (
        _evidence_in_full
        if len(verdict.named) <= _COPIES_EXPLAINED_IN_FULL_MAX
        else _evidence_in_short
    )
    return [
        (
            translated("Its hidden marks fit the copy made for {label}.").format(label=label),
            say(verdict.chance[who], verdict.likelihood_ratio[who]),
        )
        for who, label in zip(verdict.named, shown_labels, strict=True)
    ]


def _evidence_in_full(chance: float, ratio: float) -> list[str]:
    return [
        translated("{odds} (Chance: {chance}, all copies that were compared counted.)").format(
            odds=chance_in_words(chance), chance=chance_in_digits(chance)
        ),
        (
            translated(
                "{times_likelier} (Likelihood ratio: {ratio}. On the scale of the "
                "European forensic institutes: {support} for “this copy was used”.)"
            ).format(
                times_likelier=likelihood_ratio_in_words(ratio),
                ratio=likelihood_ratio_in_digits(ratio),
                support=support_in_words(ratio),
            )
        ),
    ]


def _evidence_in_short(chance: float, ratio: float) -> list[str]:
    return [
        (
            translated("Chance: {chance}. Likelihood ratio: {ratio} ({support}).").format(
                chance=chance_in_digits(chance),
                ratio=likelihood_ratio_in_digits(ratio),
                support=support_in_words(ratio),
            )
        )
    ]


def further_message_lines(others: Sequence[FurtherMessageVerdict]) -> list[str]:
    """Return sentences about further messages whose pictures the file shows, as in a collage."""
    return [
        translated(
            "A part of it also fits copies of message {message}: {names} (chance {chance} "
            "or less). Disclose and check that message by a trace of that part alone."
        ).format(
            message=part.message,
            names=", ".join(part.verdict.named),
            chance=chance_in_digits(max(part.verdict.chance[who] for who in part.verdict.named)),
        )
        for part in others
    ]


def nobody_named_lines(forecast: float | None, needed: float) -> list[str]:
    """Return what to say if nobody is named.

    ``forecast`` and ``needed`` are as in :func:`explain_nobody_named`. ``forecast`` is None for a
    clip or sound, and for a picture that matches none of the sent ones.
    """
    if forecast is None:
        return [translated("This clears nobody: too little of the file may be left to tell.")]
    return [explain_nobody_named(forecast, needed)]


def _picture_method(chips: int) -> list[str]:
    return [
        (
            translated(
                "Before it left the sender's device, each copy was given a mark of its own: "
                "{chips:,} faint steps of brightness, up or down, spread over the picture. A fair "
                "coin decided each step. The coins come from a secret number of that copy, which "
                "was drawn at random and is kept on the sender's device."
            ).format(chips=chips)
        ),
        (
            translated(
                "The found file is placed on the sender's original: crop, size, turn and mirror "
                "are reversed. Then everything that the original explains is taken away: the "
                "picture itself, and changes of brightness and colour; what JPEG coding rounds "
                "away is allowed for. What is left is evidence for each step, up or down, strong "
                "or weak. No copy's secret is used up to this point, so none can bias it."
            )
        ),
    ]


def _clip_and_sound_method() -> list[str]:
    return [
        (
            translated(
                "Before it left the sender's device, each copy was given a mark of its own: "
                "thousands of faint steps, brighter or darker, louder or softer, spread over all "
                "of it. A fair coin decided each step. The coins come from a secret number of that "
                "copy, which was drawn at random and is kept on the sender's device."
            )
        ),
        (
            translated(
                "The found file is placed on the sender's original: which part it is, its speed, "
                "size and crop are found and reversed. Then everything that the original explains "
                "is taken away. What is left is evidence for each step, one way or the other, "
                "strong or weak. No copy's secret is used up to this point, so none can bias it."
            )
        ),
    ]


def _chance_method(compared: int, needed: float, *, rounds: bool) -> list[str]:
    formula = "1 \u2212 (1 \u2212 P)^N"
    if rounds:
        said = plural(
            "{count} copy of all compared messages counts in the chance: twice {formula} with N the"
            " number of copies (Šidák 1967).",
            "{count} copies of all compared messages count in the chance: twice {formula} with"
            " N the number of copies (Šidák 1967).",
            compared,
        )
    else:
        said = plural(
            "{count} copy of all compared messages counts in the chance: {formula} with N the"
            " number of copies (Šidák 1967).",
            "{count} copies of all compared messages count in the chance: {formula} with N the"
            " number of copies (Šidák 1967).",
            compared,
        )
    named = translated(
        "A copy is named when it is at most one in a million: from a score of {needed:.1f} on."
    )
    lines = [said.format(formula=formula), named.format(needed=needed)]
    if rounds:
        lines.append(
            translated(
                "Twice, because copies may have been merged: the evidence of named copies is"
                " removed, and the others are scored again, in rounds whose chances are counted"
                " 2, 4, 8 fold and so on. So all rounds together name an innocent copy at most"
                " once in a million traces."
            )
        )
    return [" ".join(lines)]


def describe_method(chips: int | None, compared: int, needed: float) -> list[str]:
    """Describe the method in half a page.

    ``chips`` is the number of chips in a picture's mark; it is None for clips and sounds.
    """
    return [
        *(_clip_and_sound_method() if chips is None else _picture_method(chips)),
        (
            translated(
                "Only now each copy's own steps are compared with this. The score is their "
                "agreement, divided so that a copy which had no part in the file scores 0 on "
                "average with a standard deviation of 1. For such a copy the steps are still fair "
                "coins, whatever was done to the file. Therefore a theorem, not a fitted curve, "
                "bounds how often it scores t or more: P(t) \u2264 min(exp(\u2212t²/2), 3.17866"
                " Q(t)), with Q the upper tail of the normal law (Hoeffding 1963; Bentkus and"
                " Dzindzalieta 2015)."
            )
        ),
        *_chance_method(compared, needed, rounds=chips is not None),
        (
            translated(
                "The likelihood ratio compares two explanations of one score: this copy was used, "
                "or it was not. Its alternative is fixed beforehand: with chance 1/2 nothing of "
                "the mark survived, with chance 1/2 it has a strength t of 1 to 300, weighted by "
                "1/t. On average over copies that were not used it is at most 1, so it reaches x "
                "for at most one of them in x. The verbal scale follows the ENFSI guideline for "
                "evaluative reporting (2015)."
            )
        ),
    ]


def how_to_check_trace(number: int) -> str:
    return translated(
        "The sender can disclose the marks of this one message, and of no other, in a "
        "file: entrenous verdict disclose {number}. With that file, the found file and the "
        "original, anybody can repeat the registration, the evidence, every score and the "
        "finding: entrenous verdict check. The hashes below say which files these are."
    ).format(number=number)
