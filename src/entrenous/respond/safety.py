"""Put safety before evidence: ask a few questions, each of which can be skipped, and act on the
answers.

No answer is stored unless a case is opened. The case then stores how far the picture has spread,
and that everybody in it was 18 or older; it does not store whether the person is safe or watched.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Final

from entrenous.base.language import NO_WORDS, YES_WORDS, translatable, translated
from entrenous.respond.first_steps import FirstStepsId, shipped_first_steps
from entrenous.respond.help_report import (
    emergency_numbers_in_words,
    first_steps_in_words,
    help_line_in_words,
)
from entrenous.respond.law.places import Place
from entrenous.respond.situation import Spread
from entrenous.respond.who_helps import (
    NAME_A_PLACE_NOTE,
    HelpNeed,
    emergency_numbers,
    find_help_lines,
)

STOPPED_NOTE: Final = translatable(
    "Stopped. Nothing was requested or stored. You can go on at any time. To see who "
    "helps: entrenous help"
)
GO_ON_QUESTION: Final = translatable("Go on with the case now? (yes, stop)")
COUNTRY_QUESTION: Final = translatable("Which country do you live in? (skip, stop)")
YES_NO_CHOICES: Final = translatable("(yes, no, unsure, skip, stop)")
YES_NO_UNSURE_CHOICES: Final = translatable("(yes, no, unsure, stop)")
AGE_SKIPPED_NOTE: Final = translatable(
    "Without this answer, nothing can be stored. If you are not sure, type: unsure"
)
NOT_UNDERSTOOD_NOTE: Final = translatable(
    "This answer was not understood. Choose one of the words in brackets."
)
_SKIP_WORDS: Final = frozenset({"", "skip", "saltar", "omitir", "überspringen", "weiter"})
_STOP_WORDS: Final = frozenset({"stop", "quit", "parar", "stopp"})
_UNSURE_WORDS: Final = frozenset(
    {"unsure", "not sure", "maybe", "perhaps", "i don't know", "don't know", "dont know", "?"}
    | {"i do not know", "i dont know", "no sé", "no se", "quizás", "quizas", "tal vez"}
    | {
        "no estoy seguro",
        "no estoy segura",
        "unsicher",
        "duda",
        "vielleicht",
        "weiß nicht",
        "weiss nicht",
    }
)
_SPREAD_OF_WORD: Final = {
    **{one.value: one for one in Spread},
    **dict.fromkeys(("público", "publico", "öffentlich"), Spread.PUBLIC),
    **dict.fromkeys(("grupo", "gruppe"), Spread.GROUP),
    **dict.fromkeys(("privado", "privat"), Spread.PRIVATE),
    **dict.fromkeys(("amenaza", "drohung"), Spread.THREAT),
}
# number of help lines shown between two questions; ``entrenous help`` shows all of them
_HELP_LINES_SHOWN_MAX: Final = 4


class NonAnswer(StrEnum):
    """Replies that are possible instead of an answer."""

    SKIP = "skip"
    UNSURE = "unsure"
    UNCLEAR = "unclear"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class SafetyAnswers:
    """The answers so far. None means that a question was not asked, or was skipped."""

    safe: bool | None = None
    watched: bool | None = None
    posted: Spread | None = None

    def need(self, *, under_18: bool = False) -> HelpNeed:
        """Return what the person needs help with, according to these answers."""
        return HelpNeed(
            under_18=under_18,
            threat=self.posted is Spread.THREAT,
            danger=self.safe is False,
            watched=self.watched is True,
        )


def read_yes_or_no(typed: str) -> bool | NonAnswer:
    """Parse an answer to a yes-or-no question.

    >>> read_yes_or_no(" Yes "), read_yes_or_no("N"), read_yes_or_no("stop")
    (True, False, <NonAnswer.STOP: 'stop'>)
    """
    word = typed.strip().casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if word in YES_WORDS:
        return True
    if word in NO_WORDS:
        return False
    return NonAnswer.UNSURE if word in _UNSURE_WORDS else _parse_non_answer(word)


def read_spread(typed: str) -> Spread | NonAnswer:
    """Parse how far the picture has spread."""
    word = typed.strip().casefold()
    return _SPREAD_OF_WORD.get(word) or _parse_non_answer(word)


def _parse_non_answer(word: str) -> NonAnswer:
    if word in _STOP_WORDS:
        return NonAnswer.STOP
    return NonAnswer.SKIP if word in _SKIP_WORDS else NonAnswer.UNCLEAR


def cautious_answer(question: str) -> bool:
    """Return the cautious answer for somebody who is unsure: not safe, or possibly watched."""
    return question != "safe"


def danger_advice(
    places: tuple[Place, ...], now: datetime, person_zone: tzinfo | None
) -> Iterator[str]:
    """Yield what to read first in danger: emergency numbers, what to do, and help lines of these
    places.

    Args:
        places: where the person lives, if that is known.
        now: aware.
        person_zone: the person's time zone; None means this machine's.
    """
    need = HelpNeed(danger=True)
    for numbers in emergency_numbers(places):
        yield emergency_numbers_in_words(numbers, now.date())
    yield from first_steps_in_words(shipped_first_steps(FirstStepsId.DANGER), now.date())
    yield ""
    for line in find_help_lines(places, need)[:_HELP_LINES_SHOWN_MAX]:
        yield from help_line_in_words(line, now, person_zone)[:2]
    if not places:
        yield translated(NAME_A_PLACE_NOTE)


def watched_advice(now: datetime) -> Iterator[str]:
    """Yield what to do if somebody may be watching this device or account."""
    yield from first_steps_in_words(shipped_first_steps(FirstStepsId.WATCHED), now.date())


def threat_advice(places: tuple[Place, ...], now: datetime) -> Iterator[str]:
    """Yield what to do about a threat, how to save the demand, and where help is.

    Args:
        places: where the person lives, if that is known.
        now: aware.
    """
    yield from first_steps_in_words(shipped_first_steps(FirstStepsId.THREAT), now.date())
    yield from first_steps_in_words(shipped_first_steps(FirstStepsId.DEMAND), now.date())
    yield ""
    named = "".join(f" --place {place}" for place in places) or " --place Germany"
    words = translated("People who help where you live: entrenous help{places} --threat")
    yield words.format(places=named)
