"""``entrenous check-up``."""

from typing import Annotated

import typer

from entrenous.base.secret import Secret
from entrenous.device.commands import ask_passphrase
from entrenous.device.lock_errors import NoPassphrase
from entrenous.learn.check_up import Advice
from entrenous.learn.check_up import check_up as look
from entrenous.learn.this_machine import inspect_machine
from entrenous.terminal.output import print_line, put_json
from entrenous.terminal.session import NO, YES, session_of

MARK = {"open": "open   ", "closed": "closed ", "unknown": "unseen "}


def join(app: typer.Typer) -> None:
    app.command("check-up")(check_up)


def check_up(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look for leak paths on this machine; nothing is kept, nothing leaves.

    Exit status 0: there is something to close; 1: nothing to advise.
    """
    session = session_of(context)
    advice = look(inspect_machine(session.settings.home), _passphrase(session.passphrase_fd))
    if as_json:
        put_json({"schema": "entrenous/check-up/1", "advice": [_shown(one) for one in advice]})
    else:
        _print_advice(advice)
    raise typer.Exit(YES if any(one.next_step for one in advice) else NO)


def _passphrase(descriptor: int | None) -> Secret | None:
    """Ask for the passphrase to judge it; without one, that check is skipped."""
    try:
        return ask_passphrase(descriptor)
    except NoPassphrase:
        return None


def _print_advice(advice: list[Advice]) -> None:
    for one in advice:
        print_line(f"{MARK[one.path.value]} {one.closes}")
        print_line(f"        {one.found}")
        if one.next_step:
            print_line(f"        next: {one.next_step}")


def _shown(one: Advice) -> dict[str, object]:
    return {
        "check": one.check,
        "path": one.path.value,
        "closes": one.closes,
        "found": one.found,
        "next": one.next_step,
    }
