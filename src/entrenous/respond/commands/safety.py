"""The safety questions at a terminal. They are asked one at a time; the person can skip each of
them, and stop at any time.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from entrenous.base.environment import SystemClock
from entrenous.base.language import translatable, translated
from entrenous.device.lock_errors import VaultNotFound
from entrenous.device.store.vault_folder import has_vault
from entrenous.respond.first_steps import safety_questions
from entrenous.respond.law.places import Place, UnknownPlace, parse_place
from entrenous.respond.nouns import AgeAnswer
from entrenous.respond.safety import (
    AGE_SKIPPED_NOTE,
    COUNTRY_QUESTION,
    GO_ON_QUESTION,
    NOT_UNDERSTOOD_NOTE,
    STOPPED_NOTE,
    YES_NO_CHOICES,
    YES_NO_UNSURE_CHOICES,
    NonAnswer,
    SafetyAnswers,
    cautious_answer,
    danger_advice,
    read_spread,
    read_yes_or_no,
    threat_advice,
    watched_advice,
)
from entrenous.respond.situation import Demand, Spread
from entrenous.terminal.output import hint, join_wrapped_lines

AnswerT = TypeVar("AnswerT")
_QUESTION_REPEATS_MAX: Final = 2  # then the question is skipped
SafeOption = Annotated[
    bool | None, typer.Option("--safe/--not-safe", help="Whether you are safe right now.")
]
WatchedOption = Annotated[
    bool | None,
    typer.Option("--watched/--not-watched", help="Whether somebody may watch this device."),
]
SpreadOption = Annotated[
    Spread | None,
    typer.Option(
        "--posted",
        help="public: anybody can see it; group: in a group chat; private: sent from person to"
        " person; threat: nothing was shared yet.",
    ),
]
DemandOption = Annotated[
    Demand | None, typer.Option("--demand", help="What somebody demands so as not to share it.")
]
_NO_DEVICE_NOTE: Final = translatable(
    "Without one, no case is kept. The questions that follow still lead to people who help; stop at"
    " any time."
)


def hint_without_device(home: Path) -> None:
    """If there is no vault yet, say so at a terminal. Call this before the questions are asked."""
    if sys.stdin.isatty() and not has_vault(home):
        hint(str(VaultNotFound(home=home)))
        hint(translated(_NO_DEVICE_NOTE))


def ask_about_safety(
    answers: SafetyAnswers, places: tuple[Place, ...], *, ask: bool
) -> tuple[SafetyAnswers, tuple[Place, ...]]:
    """Return the answers and the places. If ``ask`` is true, the missing answers are asked for, and
    in danger also the place.

    Advice that follows from an answer is printed to standard error at once. Raises typer.Exit if
    the person stops.
    """
    safe = answers.safe if answers.safe is not None or not ask else _ask_yes_or_no("safe")
    if safe is False:
        places = places or (_ask_place() if ask else ())
        now = SystemClock().now()
        _print_lines(danger_advice(places, now, None))
        _ask_to_go_on(ask=ask)
    watched = (
        answers.watched if answers.watched is not None or not ask else _ask_yes_or_no("watched")
    )
    if watched is True:
        _print_lines(watched_advice(SystemClock().now()))
        _ask_to_go_on(ask=ask)
    return SafetyAnswers(safe, watched, answers.posted), places


def ask_spread(posted: Spread | None, places: tuple[Place, ...], *, ask: bool) -> Spread | None:
    """Return how far the picture has spread; ask if ``posted`` is None.

    If there is only a threat, print what to do.

    Raises typer.Exit on "stop".
    """
    if posted is None and ask:
        question = safety_questions()["posted"]
        hint(question.why)
        hint(". ".join(f"{word}: {means}" for word, means in question.answers.items()) + ".")
        words = ", ".join(question.answers)
        reply = _ask_again_if_unclear(read_spread, f"{question.asks} ({words}, skip, stop)")
        posted = reply if isinstance(reply, Spread) else None
    if posted is Spread.THREAT:
        _print_lines(threat_advice(places, SystemClock().now()))
    return posted


def ask_age() -> AgeAnswer:
    """Return whether everybody was an adult. A skipped question is repeated once, with what the
    answer decides; if it is skipped again, it is answered "unsure".

    Raises typer.Exit on "stop".
    """
    question = f"{safety_questions()['age'].asks} {translated(YES_NO_UNSURE_CHOICES)}"
    reply = _ask_again_if_unclear(read_yes_or_no, question)
    if reply is NonAnswer.SKIP:
        hint(translated(AGE_SKIPPED_NOTE))
        reply = _ask_again_if_unclear(read_yes_or_no, question)
    known = {True: AgeAnswer.ADULTS, False: AgeAnswer.CHILD}
    return known[reply] if isinstance(reply, bool) else AgeAnswer.UNSURE


def _ask_yes_or_no(name: str) -> bool | None:
    question = safety_questions()[name]
    hint(question.asks)
    reply = _ask_again_if_unclear(read_yes_or_no, f"{question.why} {translated(YES_NO_CHOICES)}")
    if reply is NonAnswer.UNSURE:
        return cautious_answer(name)
    return reply if isinstance(reply, bool) else None


def _ask_again_if_unclear(read: Callable[[str], AnswerT], question: str) -> AnswerT:
    """Ask a question, and repeat it a few times if the answer is not understood; raises typer.Exit
    on "stop".
    """
    reply = read(_ask_at_terminal(question))
    for _ in range(_QUESTION_REPEATS_MAX):
        if reply is not NonAnswer.UNCLEAR:
            break
        hint(translated(NOT_UNDERSTOOD_NOTE))
        reply = read(_ask_at_terminal(question))
    _exit_if_stopped(reply is NonAnswer.STOP)
    return reply


def _ask_place() -> tuple[Place, ...]:
    """Ask for the country, and repeat the question a few times if it is not known; raises
    typer.Exit on "stop".
    """
    for _ in range(1 + _QUESTION_REPEATS_MAX):
        typed = _ask_at_terminal(translated(COUNTRY_QUESTION))
        reply = read_yes_or_no(typed)  # "no" is also the code of Norway
        _exit_if_stopped(reply is NonAnswer.STOP)
        if reply in {NonAnswer.SKIP, NonAnswer.UNSURE}:
            break
        try:
            return (parse_place(typed),)
        except UnknownPlace as unknown:
            hint(join_wrapped_lines(str(unknown)))
    return ()


def _ask_to_go_on(*, ask: bool) -> None:
    if ask:
        reply = _ask_again_if_unclear(read_yes_or_no, translated(GO_ON_QUESTION))
        _exit_if_stopped(reply is not True)


def _ask_at_terminal(question: str) -> str:
    answer: str = typer.prompt(question, default="", show_default=False, err=True)
    return answer


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        hint(line)
    hint("")


def _exit_if_stopped(stopped: bool) -> None:
    if stopped:
        hint(translated(STOPPED_NOTE))
        raise typer.Exit
