"""What a report says in sentences, the same on the page and in the PDF (docs/words.md)."""

from collections.abc import Sequence
from typing import Final

from entrenous.model.verdict import Finding, Part, Verdict
from entrenous.trace.words import (
    in_digits,
    odds,
    ratio_in_digits,
    support,
    times_likelier,
    what_was_missing,
)

_AT_LENGTH_MAX: Final = 3  # named copies
NOT_WHO: Final = "This says whose copy got out, not who passed it on."
LIMITS: Final = (
    (
        "Who passed it on.",
        (
            "The finding names a copy. A device can be lost, stolen or read from outside, a "
            "screen can be photographed by somebody else, and a copy can be passed on by whoever "
            "got it next."
        ),
    ),
    (
        "That anybody is cleared.",
        (
            "A copy that is not named may still be part of what happened: its mark may have been "
            "drowned by other copies or by damage to the file."
        ),
    ),
    (
        "That it was not the sender.",
        (
            "The sender's device holds the secrets of all copies and could make each of them "
            "anew. So this report convinces a sender who knows what she did herself; against a "
            "sender who wants to put blame on somebody, it is no proof. What can speak to that "
            "lies outside of it: the recipient's own copy, records of when copies were made and "
            "received."
        ),
    ),
    (
        "What the picture shows.",
        "Nothing here says whether the picture is genuine, when it was taken, or who is in it.",
    ),
    (
        "More than the figures carry.",
        (
            "The chance counts accidents, not faults: an error in the program, a wrong label in "
            "the sender's list or a stolen secret is not in it. Beyond one in a million billion "
            "such doubts outweigh the arithmetic."
        ),
    ),
)


def question(finding: Finding) -> str:
    """The finding in one line."""
    return {
        Finding.ONE: "The found file was made from one copy",
        Finding.SEVERAL: "The found file was made from several copies",
        Finding.NOBODY: "No copy stands out",
    }[finding]


def named_lines(verdict: Verdict, shown: Sequence[str]) -> list[tuple[str, list[str]]]:
    """For each named copy: who it was made for, then the chance and the ratio as sentences, or,
    when many are named, in short.
    """
    say = _at_length if len(verdict.named) <= _AT_LENGTH_MAX else _in_short
    return [
        (
            f"Its hidden marks fit the copy made for {label}.",
            say(verdict.chance[who], verdict.likelihood_ratio[who]),
        )
        for who, label in zip(verdict.named, shown, strict=True)
    ]


def _at_length(chance: float, ratio: float) -> list[str]:
    return [
        f"{odds(chance)} (Chance: {in_digits(chance)}, all copies that were compared counted.)",
        (
            f"{times_likelier(ratio)} (Likelihood ratio: {ratio_in_digits(ratio)}. On the scale of "
            f"the European forensic institutes: {support(ratio)} for \u201cthis copy was "
            "used\u201d.)"
        ),
    ]


def _in_short(chance: float, ratio: float) -> list[str]:
    return [
        (
            f"Chance: {in_digits(chance)}. Likelihood ratio: {ratio_in_digits(ratio)} "
            f"({support(ratio)})."
        )
    ]


def other_lines(others: Sequence[Part]) -> list[str]:
    """What is said of further messages: a collage, or copies of two messages merged."""
    return [
        f"A part of it also fits copies of message {part.message}: {', '.join(part.verdict.named)} "
        f"(chance {in_digits(max(part.verdict.chance[who] for who in part.verdict.named))} or "
        "less). Disclose and check that message by a trace of that part alone."
        for part in others
    ]


def nobody_lines(forecast: float | None, needed: float) -> list[str]:
    """After "nobody": why that clears nobody, and how much more it would take."""
    if forecast is None:
        return ["This clears nobody: too little of the file may be left to tell."]
    return [what_was_missing(forecast, needed)]


def _of_picture(chips: int) -> list[str]:
    return [
        (
            f"Before it left the sender's device, each copy was given a mark of its own: {chips:,} "
            "faint steps of brightness, up or down, spread over the picture. A fair coin decided "
            "each step. The coins come from a secret number of that copy, which was drawn at "
            "random and is kept on the sender's device."
        ),
        (
            "The found file is laid over the sender's original: crop, size, turn and mirror are "
            "undone. Then everything that the original explains is taken away: the picture "
            "itself, changes of brightness and colour, the errors of JPEG coding. What is left "
            "speaks for each step, up or down, more or less firmly. No copy's secret is used up "
            "to this point, so none can bias it."
        ),
    ]


def _of_motion() -> list[str]:
    return [
        (
            "Before it left the sender's device, each copy was given a mark of its own: thousands "
            "of faint steps, brighter or darker, louder or softer, spread over all of it. A fair "
            "coin decided each step. The coins come from a secret number of that copy, which was "
            "drawn at random and is kept on the sender's device."
        ),
        (
            "The found file is laid on the sender's original: which part it is, its speed, size "
            "and crop are found and undone. Then everything that the original explains is taken "
            "away. What is left speaks for each step, one way or the other, more or less firmly. "
            "No copy's secret is used up to this point, so none can bias it."
        ),
    ]


def _counted(copies: str, needed: float, *, rounds: bool) -> list[str]:
    all_of_them = f"{copies.capitalize()} of everything that was looked at count in the chance: "
    once = "1 \u2212 (1 \u2212 P)^N with N the number of copies (\u0160id\u00e1k 1967)"
    named = f"A copy is named when it is at most one in a million: from a score of {needed:.1f} on."
    if not rounds:
        return [f"{all_of_them}{once}. {named}"]
    return [
        (
            f"{all_of_them}twice {once}. {named} Twice, because copies may have been merged: what "
            "named copies say is taken out, and the others are scored again, in rounds whose "
            "chances are counted 2, 4, 8 fold and so on. So all rounds together name an innocent "
            "copy at most once in a million traces."
        )
    ]


def method(chips: int | None, compared: int, needed: float) -> list[str]:
    """The method in half a page; ``chips`` are the steps of a picture's mark, None for what moves
    or sounds.
    """
    copies = "one copy" if compared == 1 else f"{compared:,} copies"
    return [
        *(_of_motion() if chips is None else _of_picture(chips)),
        (
            "Only now each copy's own steps are compared with that. The score is their agreement, "
            "divided so that a copy which had no part in the file scores 0 on average with a "
            "standard deviation of 1. For such a copy the steps are still fair coins, whatever "
            "was done to the file. Therefore a theorem, not a fitted curve, bounds how often it "
            "scores t or more: P(t) \u2264 min(exp(\u2212t\u00b2/2), 3.17866 Q(t)), with Q the "
            "upper tail of the normal law (Hoeffding 1963; Bentkus and Dzindzalieta 2015)."
        ),
        *_counted(copies, needed, rounds=chips is not None),
        (
            "The likelihood ratio compares two explanations of one score: this copy was used, or "
            "it was not. Its alternative is fixed beforehand: with chance 1/2 nothing of the mark "
            "survived, with chance 1/2 it is heard with a strength t of 1 to 300, weighted by "
            "1/t. On average over copies that were not used it is at most 1, so it reaches x for "
            "at most one of them in x. The verbal scale follows the ENFSI guideline for "
            "evaluative reporting (2015)."
        ),
    ]


def how_to_check(number: int) -> str:
    """How somebody else can repeat the finding."""
    return (
        "The sender can disclose the marks of this one message, and of no other, in a file: "
        f"entrenous verdict disclose {number}. With that file, the found file and the original, "
        "anybody can repeat the registration, the evidence, every score and the finding: entrenous "
        "verdict check. The hashes below say which files these are."
    )
