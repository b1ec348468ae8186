"""``entrenous send``."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.catch_up import catch_up, hint_at
from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.output import bar, hint, put_json, read_file, say
from entrenous.model.errors import Unreachable
from entrenous.model.message import Draft, Policy
from entrenous.ports import Device
from entrenous.send.circle.members import recipients
from entrenous.send.doubts.within import conversation_of, names_in
from entrenous.send.guard import answered, open_doubts
from entrenous.send.outbox import flush
from entrenous.send.send import send_message
from entrenous.spec import DAYS_TO_OPEN


def join(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("send")(send)


def send(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="Pictures to send.")] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A person or a circle; may be repeated."),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option("--in", metavar="MESSAGE", help="What it belongs to; to its people."),
    ] = None,
    confirm: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The first name that the guard asks for, typed."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Answers nothing that the guard asks: --confirm does.")
    ] = False,
    caption: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A line that goes with it.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=64, metavar="PIXELS", help="Longest side in pixels.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=30, metavar="DAYS", help="Until when it can be opened.")
    ] = DAYS_TO_OPEN,
    once: Annotated[
        bool,
        typer.Option("--once", help="The key is given out once."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Only send what still waits here.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Send pictures, a marked and sealed copy to each person; metadata stays behind.

    Until a copy is opened, taking it back and its expiry hold by cryptography; afterwards by the
    recipient's program, and anybody can photograph a screen.
    """
    del yes  # whoever types it out of habit has not looked
    with device_of(context) as device:
        if resume:
            _resume(device, as_json=as_json)
            return
        if not files or not (to or within):
            raise typer.BadParameter("give at least one picture and one --to NAME")
        data = tuple(read_file(path) for path in files)
        catch_up(device)  # that our own relay is silent is no reason not to seal
        belongs = None if within is None else conversation_of(within, device)
        going = recipients(to or names_in(belongs, device), device)
        names = going.people
        if not names:
            raise typer.BadParameter(f"you know nobody else who has {within}: name them with --to")
        policy = Policy(device.clock.now() + timedelta(days=days), 1 if once else None)
        typed = frozenset(confirm or ())
        draft = Draft(data, names, policy, caption, size, typed, going.circles, belongs)
        draft = _ask(draft, device)
        with bar("Sealing", len(names)) as steps:
            sent = send_message(draft, device, steps.done)
    if as_json:
        copies = [{"to": name, "devices": count} for name, count in sent.devices.items()]
        put_json({"schema": "entrenous/send/1", "message": sent.name, "copies": copies})
        return
    people = "1 person" if len(names) == 1 else f"{len(names)} people"
    say(f"sent {sent.name} to {people}; take it back with: entrenous recall {sent.name}")


def _resume(device: Device, *, as_json: bool) -> None:
    flushed = flush(device)
    if flushed.problems:
        # A refusal is told once; that a relay is silent will be told again.
        first = min(flushed.problems, key=lambda problem: isinstance(problem, Unreachable))
        hint_at(problem for problem in flushed.problems if problem is not first)
        raise first
    left = flushed.left
    if as_json:
        put_json({"schema": "entrenous/resume/1", "left": left})
    else:
        say("1 waiting letter went out." if left == 1 else f"{left} waiting letters went out.")


def _ask(draft: Draft, device: Device) -> Draft:
    """On a terminal, put the guard's doubts to the person and let her type the names."""
    doubts = open_doubts(draft, device)
    if not doubts or not sys.stdin.isatty():
        return draft
    typed = set(draft.confirmed)
    for doubt in doubts:
        hint(f"  {doubt.why}.")
        question = f"  Type {doubt.answer} to send it to {doubt.who}"
        answer = typer.prompt(question, default="", err=True).strip()
        if answered(doubt, [answer]):
            typed.add(answer)
    return replace(draft, confirmed=frozenset(typed))
