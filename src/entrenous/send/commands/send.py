"""``entrenous send``, and the undo window."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.copies import join_names
from entrenous.base.errors import Unreachable
from entrenous.base.language import plural, translatable, translated
from entrenous.base.limits import DEFAULT_EXPIRY_DAYS, DEFAULT_UNDO_WINDOW_S, UNDO_WINDOW_S_MAX
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.send.clock_sanity import rounded_expiry
from entrenous.send.commands.catch_up import COPIES_DISCLAIMER, fetch_and_print_notices
from entrenous.send.conversations import contact_names_among, participants_of_message
from entrenous.send.flush import flush_outbox
from entrenous.send.guard import DraftInspection, answers_warning, inspect_draft
from entrenous.send.inbox import reference_to_message
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.message.transfer_progress import ByteCounter, TransferStage, TransferWatch
from entrenous.send.outbox import waiting_upload_bytes
from entrenous.send.people.circle_members import resolve_recipients
from entrenous.send.send import PostedMessage, send_inspected_draft
from entrenous.terminal.interrupts import lost_interrupt_check
from entrenous.terminal.media_files import (
    hint_animated_pictures,
    name_file_on_error,
    read_nonempty_file,
)
from entrenous.terminal.output import (
    hint,
    hint_problems_except_unreachable,
    join_wrapped_lines,
    print_json,
    print_line,
)
from entrenous.terminal.progress_bars import StageBars, stage_bars
from entrenous.terminal.typed_input import STDIN_OPTION_ADVICE, JsonFlag, read_typed_text


def add_commands(app: typer.Typer) -> None:
    app.command("send")(send)


def send(
    context: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Pictures, clips and voice notes to send.")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A person or a circle; may be repeated."),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            "--in",
            metavar="MESSAGE",
            help="Send to the people of this message, as part of its conversation.",
        ),
    ] = None,
    reply: Annotated[
        str | None,
        typer.Option(metavar="MESSAGE", help="Send as a reply to this message, to its people."),
    ] = None,
    confirm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="The name that the guard asks you to type; the first, if several."
        ),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Has no effect on the guard's questions; use --confirm for those."
        ),
    ] = False,
    caption: Annotated[
        str | None,
        typer.Option(metavar="-|TEXT", help=f"A caption for the files. {STDIN_OPTION_ADVICE}"),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="-|TEXT", help=f"A text, with files or without. {STDIN_OPTION_ADVICE}"
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=64, metavar="PIXELS", help="Longest side of pictures in pixels."),
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=30, metavar="DAYS", help="For how many days it can be opened.")
    ] = DEFAULT_EXPIRY_DAYS,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="The relay gives the key out once, and their program keeps nothing."
        ),
    ] = False,
    allow_export: Annotated[
        bool,
        typer.Option(
            "--allow-export", help="With --once: they may write it to files; you are told."
        ),
    ] = False,
    undo: Annotated[
        int,
        typer.Option(
            min=0,
            max=UNDO_WINDOW_S_MAX,
            metavar="SECONDS",
            envvar="ENTRENOUS_UNDO",
            help="Seconds in which nothing leaves, so that Ctrl-C can undo it.",
        ),
    ] = DEFAULT_UNDO_WINDOW_S,
    resume: Annotated[
        bool, typer.Option("--resume", help="Only send messages that still wait on this device.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send pictures, clips, voice notes or a text; each person gets a marked, encrypted copy.

    Metadata is removed. Before the first opening, taking back, expiry and --once are enforced by
    cryptography; after it, by the recipient's program. Anybody can photograph a screen.
    """
    # People type --yes out of habit; it must not confirm a recipient that nobody has checked.
    del yes
    if resume:
        with opened_device(context) as device:
            _resume_sending(device, as_json=as_json)
        return
    _check_content_options(files, text, caption)
    if allow_export and not once:
        raise typer.BadParameter(
            translated(
                "--allow-export goes with --once: other messages can be written to files anyway"
            )
        )
    if not (to or within or reply) or (within and reply):
        raise typer.BadParameter(
            translated("say to whom: --to NAME, or one of --reply and --in MESSAGE")
        )
    text, caption = (
        read_typed_text(text, "Text", context),
        read_typed_text(caption, "Caption", context),
    )
    written = _MessageContent(
        tuple(map(read_nonempty_file, files or ())), text, caption, size, undo
    )
    with name_file_on_error(files or ()), opened_device(context) as device:
        # If this fetch fails, go on: sealing does not need our relay.
        fetch_and_print_notices(device)
        policy = MessagePolicy(
            rounded_expiry(days, device), 1 if once else None, may_export=allow_export
        )
        draft = _make_draft(written, to or [], within, reply, policy, device)
        stills = hint_animated_pictures(zip(files or (), written.files, strict=True))
        draft = replace(draft, confirmed=frozenset(confirm or ()))
        inspection = _ask_to_confirm_recipients(inspect_draft(draft, device))
        with lost_interrupt_check(once=True) as check, stage_bars() as shown:
            sent = send_inspected_draft(inspection, device, _progress_watch(shown, check, device))
    _print_sent(sent, draft, stills, as_json=as_json)


def _progress_watch(shown: StageBars, check: Callable[[], None], device: Device) -> TransferWatch:
    def show_progress(stage: TransferStage, done: int, total: int) -> None:
        check()
        shown.report_bytes(stage, done, total)

    return TransferWatch(show_progress, make_undo_wait(shown, device.clock.now, check))


@dataclass(frozen=True, slots=True)
class _MessageContent:
    """The content to send, without its recipients."""

    files: tuple[bytes, ...]
    text: str | None
    caption: str | None
    size_px: int | None
    undo_s: int


def _check_content_options(files: list[Path] | None, text: str | None, caption: str | None) -> None:
    if not files and not text:
        raise typer.BadParameter(translated("give at least one file, or --text -"))
    if caption and text:
        raise typer.BadParameter(translated("a message has one text: --caption or --text"))


def _make_draft(
    written: _MessageContent,
    to: list[str],
    within: str | None,
    reply: str | None,
    policy: MessagePolicy,
    device: Device,
) -> Draft:
    named = within or reply
    belongs = None if named is None else participants_of_message(named, device)
    going = resolve_recipients(to or contact_names_among(belongs, device), device)
    for blocked in going.passed_over:
        hint(
            translated(
                "{blocked} is in the circle too, but you blocked {blocked}, so nothing is sent "
                "to them."
            ).format(blocked=blocked)
        )
    if not going.people:
        raise typer.BadParameter(
            translated(
                "none of the people you know has message {named}; say who gets this one: --to NAME"
            ).format(named=named)
        )
    return Draft(
        files=written.files,
        to=going.people,
        policy=policy,
        caption=written.caption or None,
        size_px=written.size_px,
        circles=going.circles,
        within=belongs,
        text=written.text or None,
        reply=None if reply is None else reference_to_message(reply, device),
        undo_s=written.undo_s,
    )


def _print_sent(sent: PostedMessage, draft: Draft, stills: list[str], *, as_json: bool) -> None:
    if as_json:
        copies = [{"to": name, "devices": count} for name, count in sent.devices.items()]
        said = {"message": sent.name, "copies": copies, "first_picture_only": stills}
        print_json({"schema": "entrenous/send/1", **said})
        return
    people = join_wrapped_lines(join_names(draft.to))
    print_line(
        translated("sent {name} to {people}; take it back with: entrenous recall {name}").format(
            name=sent.name, people=people
        )
    )
    print_line(translated(COPIES_DISCLAIMER))


def _resume_sending(device: Device, *, as_json: bool) -> None:
    with stage_bars() as shown:
        sent = ByteCounter(
            TransferStage.SENDING, waiting_upload_bytes(device), TransferWatch(shown.report_bytes)
        )
        flushed = flush_outbox(device, sent.add)
    if flushed.problems:
        # If there is a refusal, raise it, since no later command reports it. The next command
        # reports an unreachable relay again.
        first = min(flushed.problems, key=lambda problem: isinstance(problem, Unreachable))
        hint_problems_except_unreachable(
            problem for problem in flushed.problems if problem is not first
        )
        raise first
    left = flushed.posted_count
    if as_json:
        print_json({"schema": "entrenous/resume/1", "left": left})
    else:
        print_line(
            plural("{count} waiting letter went out.", "{count} waiting letters went out.", left)
        )


def _ask_to_confirm_recipients(inspection: DraftInspection) -> DraftInspection:
    """On a terminal, show warnings about unusual recipients (send/guard.py), and let the user type
    the names to confirm them.
    """
    if not sys.stdin.isatty():
        return inspection
    typed = set[str]()
    for warning in inspection.unanswered:
        hint(f"  {warning.why}.")
        question = "  " + translated("Type {answer} to send it to {who}").format(
            answer=warning.answer, who=warning.who
        )
        answer = typer.prompt(question, default="", err=True).strip()
        if answers_warning(warning, [answer]):
            typed.add(answer)
    return inspection.with_typed_names(typed)


_UNDO_POLL_S: Final = 0.1
_UNDO_HINT: Final = translatable("Undo: Ctrl-C")


def make_undo_wait(
    shown: StageBars,
    now: Callable[[], datetime],
    check: Callable[[], None],
    sleep_s: Callable[[float], None] = time.sleep,
    ticks_s: Callable[[], float] = time.monotonic,
) -> Callable[[datetime], bool]:
    """Return a function that waits until a time, with a bar that says how to undo. Ctrl-C ends the
    wait, and so does an exception from ``check``.

    The system clock is read only at the start, since it may be set meanwhile.
    """

    def wait_or_undo(until: datetime) -> bool:
        whole_s = min((until - now()).total_seconds(), UNDO_WINDOW_S_MAX)
        total, end_s = max(1, round(whole_s)), ticks_s() + whole_s
        while (left_s := end_s - ticks_s()) > 0:
            check()
            shown.report_count(translated(_UNDO_HINT), min(total, total - int(left_s)), total)
            sleep_s(min(_UNDO_POLL_S, left_s))
        shown.report_count(translated(_UNDO_HINT), total, total)
        return True

    return wait_or_undo
