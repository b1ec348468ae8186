"""``entrenous check-up``."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.environment import SystemClock
from entrenous.base.language import translated
from entrenous.base.program import this_program_version
from entrenous.base.secret import Secret
from entrenous.device.commands import ask_passphrase
from entrenous.device.lock_errors import NoPassphrase
from entrenous.learn.check_up import CheckUpFinding, CheckUpInput, CheckUpResult, run_check_up
from entrenous.learn.facts import CheckUpQuestion, all_questions, read_answers, threat_help_text
from entrenous.learn.picture_places import PicturesFound, find_pictures_with_place
from entrenous.learn.this_machine import inspect_machine
from entrenous.terminal.output import hint, print_json, print_line
from entrenous.terminal.output_files import read_file
from entrenous.terminal.session import EXIT_NO, EXIT_YES, session_of
from entrenous.terminal.typed_input import (
    STDIN_MARK,
    STDIN_OPTION_ADVICE,
    JsonFlag,
    read_typed_text,
)

LEAK_PATH_STATE_LABELS: Final = {"open": "open   ", "closed": "closed ", "unknown": "unseen "}
_STOP_WORDS: Final = frozenset({"s", "stop", "q", "quit"})


def add_commands(app: typer.Typer) -> None:
    app.command("check-up")(check_up)


def check_up(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also look in this folder for pictures that reveal a place."
        ),
    ] = None,
    list_names: Annotated[
        bool, typer.Option("--list", help="List the pictures that reveal a place.")
    ] = False,
    answers: Annotated[
        str | None,
        typer.Option(
            metavar="-|FILE", help=f"Answers in JSON, instead of being asked. {STDIN_OPTION_ADVICE}"
        ),
    ] = None,
    questions: Annotated[
        bool, typer.Option("--questions", help="List the questions and end.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Look for ways in which pictures can leak from this machine; nothing is stored or sent.

    Exit status 0: there is a step to advise; 1: there is none.
    """
    if questions:
        _print_questions(as_json=as_json)
        return
    session = session_of(context)
    given = None if answers is None else read_answers(_read_answers_option(answers, context))
    pictures = None if folder is None else find_pictures_with_place(folder)
    facts = inspect_machine(session.settings.home)
    passphrase = _ask_passphrase(session.passphrase_fd)
    if given is None:
        given = {} if as_json or not sys.stdin.isatty() else _ask_questions()
    today = SystemClock().now().date()
    found = run_check_up(CheckUpInput(facts, today, passphrase, pictures, given))
    named = pictures.with_place if pictures is not None and list_names else None
    if as_json:
        print_json(_check_up_json(found, pictures, named, given))
    else:
        _print_check_up(found, named)
    raise typer.Exit(EXIT_YES if found.has_step else EXIT_NO)


def _read_answers_option(typed: str, context: typer.Context) -> bytes:
    if typed == STDIN_MARK:
        return (read_typed_text(typed, translated("Your answers in JSON"), context) or "").encode()
    return read_file(Path(typed))


def _ask_passphrase(descriptor: int | None) -> Secret | None:
    """Ask for the passphrase, so that its strength can be judged. Return None if no passphrase was
    given.
    """
    try:
        return ask_passphrase(descriptor)
    except NoPassphrase:
        return None


def _ask_questions() -> dict[str, str]:
    """Ask the questions, one at a time. The person can skip each question, and stop at any time."""
    questions = all_questions()
    hint(
        translated(
            "{count} questions. Press Enter to skip one, or type s to stop. Nothing is kept."
        ).format(count=len(questions))
    )
    given = dict[str, str]()
    for number, question in enumerate(questions, 1):
        key = _ask_question(
            question, translated("{number} of {total}").format(number=number, total=len(questions))
        )
        if key is None:
            break
        if key:
            given[question.id] = key
    return given


def _ask_question(question: CheckUpQuestion, position: str) -> str | None:
    """Return the key of the answer; "" if the question was skipped, None if the person stopped."""
    hint("")
    hint(f"{position}: {question.question}")
    hint(f"  {question.why}")
    for number, answer in enumerate(question.answers, 1):
        hint(f"  {number}  {answer.says}")
    while True:
        typed = typer.prompt(
            translated("Your answer"), err=True, default="", show_default=False
        ).strip()
        if typed.casefold() in _STOP_WORDS:
            return None
        if not typed:
            return ""
        if typed.isdigit() and 1 <= int(typed) <= len(question.answers):
            return question.answers[int(typed) - 1].key
        hint(
            translated("Type a number from 1 to {count}, Enter to skip, or s to stop.").format(
                count=len(question.answers)
            )
        )


def _print_check_up(result: CheckUpResult, named: tuple[str, ...] | None) -> None:
    if result.help is not None:
        for line in threat_help_text():
            print_line(line)
        return
    for one in result.advice:
        print_line(f"{LEAK_PATH_STATE_LABELS[one.path.value]} {one.closes}")
        print_line(f"        {one.found}")
        if one.next_step:
            step = translated("next: {step}").format(step=one.next_step)
            print_line(f"        {step}")
            undo = translated("to undo it: {undo}").format(undo=one.undo)
            print_line(f"        {undo}")
    for name in named or ():
        print_line(translated("tells a place: {name}").format(name=name))


def _check_up_json(
    result: CheckUpResult,
    pictures: PicturesFound | None,
    named: tuple[str, ...] | None,
    answers: dict[str, str],
) -> dict[str, object]:
    program = this_program_version()
    return {
        "schema": "entrenous/check-up/1",
        "advice": [_finding_json(one) for one in result.advice],
        "program": {"version": program.version, "commit": program.commit},
        "pictures": None if pictures is None else _pictures_json(pictures, named),
        "questions": {"known": len(all_questions()), "answered": len(answers)},
        "help": result.help,
    }


def _pictures_json(pictures: PicturesFound, named: tuple[str, ...] | None) -> dict[str, object]:
    return {
        "folder": pictures.folder,
        "read": pictures.read,
        "with_place": len(pictures.with_place),
        "unread": pictures.unread,
        "whole": pictures.whole,
        "names": None if named is None else list(named),
    }


def _finding_json(advice: CheckUpFinding) -> dict[str, object]:
    return {
        "check": advice.check,
        "path": advice.path.value,
        "closes": advice.closes,
        "found": advice.found,
        "next": advice.next_step,
        "undo": advice.undo,
        "source": advice.source,
        "read_on": None if advice.read_on is None else advice.read_on.isoformat(),
    }


def _print_questions(*, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "schema": "entrenous/check-up-questions/1",
                "questions": [
                    {
                        "id": one.id,
                        "question": one.question,
                        "why": one.why,
                        "closes": one.closes,
                        "answers": [{"key": a.key, "says": a.says} for a in one.answers],
                    }
                    for one in all_questions()
                ],
            }
        )
        return
    for one in all_questions():
        print_line(f"{one.id}: {one.question}")
        for answer in one.answers:
            print_line(f"  {answer.key}: {answer.says}")
