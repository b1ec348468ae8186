"""``entrenous inbox`` and ``entrenous open``."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from entrenous.base.copies import join_names
from entrenous.base.errors import DiskFull, RelayFull, Unreachable, quote_for_shell
from entrenous.base.language import translated
from entrenous.base.picture import AlreadyThere, UnwritableFolder
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.device.sent_messages import UnknownMessage
from entrenous.send.commands.catch_up import MESSAGES_DISCLAIMER, fetch_and_print_notices
from entrenous.send.commands.message_list import (
    AllOption,
    LastOption,
    current_people_names,
    messages_as_json,
    print_message,
    print_other_recipients,
    print_reply_and_reactions,
    print_text,
    refuse_last_with_all,
    resolve_person_filter,
    select_messages,
)
from entrenous.send.inbox import find_received_message, received_messages, remove_received_message
from entrenous.send.letter.letter_nouns import (
    FILE_SUFFIX_BY_MEDIA_TYPE,
    MessageFileEntry,
    MessageFrame,
)
from entrenous.send.letter.relay_tasks import wait_for_letter
from entrenous.send.message.states import (
    InboxState,
    MessageIsViewOnly,
    ReceivedMessage,
    UnsafeFiles,
)
from entrenous.send.message.transfer_progress import TransferWatch
from entrenous.send.open import WriteFile, find_unsafe_files, show_received_message
from entrenous.send.people.block import sender_without_receipt_choice, set_receipts
from entrenous.send.people.notices import no_receipts_in_words, receipts_question
from entrenous.terminal.output import hint, join_wrapped_lines, print_json, print_line
from entrenous.terminal.output_files import FileGroup, require_free_space
from entrenous.terminal.progress_bars import stage_bars
from entrenous.terminal.typed_input import JsonFlag, ask_yes_or_no


def add_commands(app: typer.Typer) -> None:
    app.command("inbox")(inbox)
    app.command("open")(open_received_message)


def inbox(
    context: typer.Context,
    wait: Annotated[
        int,
        typer.Option(
            min=0,
            max=86_400,
            metavar="SECONDS",
            help="Wait this long for something new; meanwhile this device can run no other "
            "command.",
        ),
    ] = 0,
    sender: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="NAME",
            help="List only what this person or circle sent; may be repeated.",
        ),
    ] = None,
    last: LastOption = None,
    everything: AllOption = False,
    remove: Annotated[
        str | None,
        typer.Option(
            metavar="MESSAGE", help="Remove this message from this device for good; nobody is told."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fetch new messages from the relay; list those that wait to be opened, and the newest ones.

    Before the first opening, taking back, expiry and limits on openings are enforced by
    cryptography; after it, by the recipient's program.
    """
    refuse_last_with_all(last, everything=everything)
    with opened_device(context) as device:
        if remove is not None:
            _remove_message(remove, device, as_json=as_json)
            return
        if wait:
            with suppress(Unreachable):  # reported below
                wait_for_letter(wait, device)
        if (error := fetch_and_print_notices(device)) is not None:
            why = f"{join_wrapped_lines(str(error))} " if isinstance(error, Unreachable) else ""
            hint(why + translated("So nothing new was fetched. These messages came earlier:"))
        every = received_messages(device)
        every = _filter_by_sender(sender, every, device) if sender else every
        whole = everything or (as_json and last is None)
        found = select_messages(every, _is_unopened, last, everything=whole)
        shown = list(messages_as_json(found.these, device))
    if as_json:
        print_json({"schema": "entrenous/inbox/1", "messages": shown})
        return
    for message in shown:
        print_message(message)
    found.print_how_to_list_older("inbox", "--from", sender or ())
    nothing = (
        translated("Nothing from {sender} here.").format(sender=join_names(sender))
        if sender
        else translated("Nothing here yet.")
    )
    print_line(translated(MESSAGES_DISCLAIMER) if shown else nothing)


def _filter_by_sender(
    sender: list[str], messages: tuple[ReceivedMessage, ...], device: Device
) -> tuple[ReceivedMessage, ...]:
    names = current_people_names(device)
    by = [names.sender_name(message) for message in messages]
    who = resolve_person_filter(sender, by, device)
    return tuple(
        message
        for message, name in zip(messages, by, strict=True)
        if who.matches(message.sender, name)
    )


def _is_unopened(message: ReceivedMessage) -> bool:
    return message.state is InboxState.WAITING


def _remove_message(name: str, device: Device, *, as_json: bool) -> None:
    """Remove a message from this device, which needs no relay."""
    removed = remove_received_message(name, device)
    if as_json:
        shown = list(messages_as_json([removed], device))
        print_json({"schema": "entrenous/inbox/1", "messages": shown})
    elif removed.state is InboxState.REMOVED:
        print_line(
            translated(
                "{name} is removed from this device. What you wrote to a folder stays there."
            ).format(name=name)
        )
    else:
        gone = translated("Nothing of {name} is left here: {state}.")
        print_line(gone.format(name=name, state=translated(removed.state.value)))


def open_received_message(
    context: typer.Context,
    message: str,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write the files to.")
    ] = None,
    export: Annotated[
        bool,
        typer.Option(
            "--export", help="Write a message that opens once to files, if its sender allowed it."
        ),
    ] = False,
    unchecked: Annotated[
        bool,
        typer.Option(
            "--unchecked", help="Also write files that are not safe pictures, clips or sounds."
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Open a message: show its text, and write its files to a folder.

    A message that opens once is shown on a page in your browser and not written to disk: it counts
    as opened when you press Show there. With --export it is written to files, if its sender allowed
    that, and the sender is told. Until the first opening, the limit is enforced by cryptography;
    after it, by your program. Files that you write to a folder can't be taken back.
    """
    with opened_device(context) as device:
        # If this fetch fails, go on: a message that was opened before can be opened without the
        # relay.
        fetch_and_print_notices(device)
        received = find_received_message(message, device)
        if _is_unopened(received):  # for an opened message, receipts were decided before
            _ask_about_receipts(received, device)
        counted = received.opens is not None
        if counted and not export:
            if out is not None or unchecked or as_json:
                raise MessageIsViewOnly(name=message)
            _show_once(message, device)
            return
        _write_message_files(
            message, out or Path(), device, export=export, checked=not unchecked, json=as_json
        )


def _show_once(message: str, device: Device) -> None:
    """Show a message in the browser; the web server is imported only here."""
    from entrenous.send.http.view_once import show_once  # noqa: PLC0415

    (about,) = messages_as_json([find_received_message(message, device)], device)
    show_once(message, str(about["from"]), device)


def _write_message_files(
    message: str, out: Path, device: Device, *, export: bool, checked: bool, json: bool
) -> None:
    """Show a message's text, and write its files to a folder."""
    files, arrived = FileGroup(), list[tuple[MessageFileEntry, WriteFile]]()
    printed = opening_begun = False
    before = find_received_message(message, device)
    (message_json,) = messages_as_json([before], device)

    def add_file(number: int, file: MessageFileEntry, fill: WriteFile) -> None:
        arrived.append((file, fill))
        files.add(message_file_path(message, number, file.media_type, out), file.size, fill)

    def begin_opening(size: int) -> None:
        nonlocal opening_begun
        require_free_space(out, size)
        opening_begun = True  # from now on the relay may have counted the opening

    def write_and_print(frame: MessageFrame) -> None:
        nonlocal printed
        if checked:
            _refuse_unsafe_files(message, arrived, device)
        files.write()  # only now are the names of all files known
        _print_opened(frame.text, files.places, message_json, as_json=json)
        printed = True

    def must_files_stay() -> bool:
        """Return whether the files stay after an error: the message was shown completely, and its
        openings are unlimited or this opening was counted.
        """
        kept = before.opens is None
        return printed and (kept or find_received_message(message, device).views > before.views)

    try:
        with stage_bars() as shown, files.remove_on_failure(must_files_stay):
            watch = TransferWatch(shown.report_bytes)
            show_received_message(
                message, add_file, device, watch, write_and_print, begin_opening, export=export
            )
    except (AlreadyThere, DiskFull, UnsafeFiles, UnwritableFolder) as why:
        if opening_begun and not isinstance(why, RelayFull):
            hint(_counted_opening_hint(message, before.opens))
        raise
    if message_json["opens"] is not None and not json:
        hint(
            translated(
                "This message may be opened a limited number of times, so nothing of it "
                "was kept in your vault."
            )
        )
        hint(
            translated(
                "If you send receipts to its sender, the sender is told that you saved it to files."
            )
        )


def _ask_about_receipts(message: ReceivedMessage, device: Device) -> None:
    """Ask once whether a sender whose keys were not compared (known by link) gets receipts.

    Without a terminal, decide for no receipts, and print the command that changes this.
    """
    sender = sender_without_receipt_choice(message.sender, device)
    if sender is None:
        return
    known = no_receipts_in_words(sender.name)
    if not sys.stdin.isatty():
        set_receipts(sender.name, device, wanted=False)
        command = f"entrenous person receipts {quote_for_shell(sender.name)} --on"
        how = translated("To let that program be told: {command}").format(command=command)
        hint(f"{known} {how}")
        return
    hint(f"{known} {translated('You are asked this only once.')}")
    wanted = ask_yes_or_no(receipts_question(sender.name))
    set_receipts(sender.name, device, wanted=wanted)


def _refuse_unsafe_files(
    message: str, files: list[tuple[MessageFileEntry, WriteFile]], device: Device
) -> None:
    """Raise UnsafeFiles or DecoderDidNotStart if a file is unsafe to write."""
    unsafe = find_unsafe_files(files, device)
    if unsafe:
        numbers = ", ".join(map(str, unsafe))
        which = translated("file {numbers}") if len(unsafe) == 1 else translated("files {numbers}")
        raise UnsafeFiles(files=which.format(numbers=numbers), name=message)


def _counted_opening_hint(message: str, opens: int | None) -> str:
    """Return the hint about a failed opening that the relay may have counted."""
    counted = translated(
        "{message} counts as opened now, although you have not seen it, because the "
        "relay has already given out its key."
    ).format(message=message)
    if opens is None:
        what_next = translated("Once the problem is solved, run the same command again.")
        return f"{counted} {what_next}"
    what_next = translated(
        "This uses up one of its openings, but the message still opens here until it is "
        "taken back or expires. Once the problem is solved, run the same command again."
    )
    return f"{counted} {what_next}"


def message_file_path(message: str, number: int, media_type: str, out: Path) -> Path:
    """Return the path of a message's file.

    Raises:
        UnknownMessage: the name would lead out of the folder, so it is not a message's name.
    """
    plain = f"{message}-{number}{FILE_SUFFIX_BY_MEDIA_TYPE.get(media_type, '.bin')}"
    if Path(plain).name != plain:
        raise UnknownMessage(name=message)
    return out / plain


def _print_opened(
    text: str | None, places: list[Path], about: dict[str, object], *, as_json: bool
) -> None:
    """Print the text and the paths of the files.

    If openings are limited, this happens before the message is deleted from the vault, so that a
    crash does not lose the text unread.
    """
    if as_json:
        files = [str(path) for path in places]
        answer = {"files": files, "text": text, "kept": about["opens"] is None}
        print_json({"schema": "entrenous/open/1", **answer})
        return
    print_other_recipients(about)
    print_text(text)
    print_reply_and_reactions(about)
    for path in places:
        print_line(translated("wrote {path}").format(path=path))
