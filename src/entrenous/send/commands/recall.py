"""``entrenous recall``, ``entrenous sent`` and ``entrenous react``."""

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from entrenous.base.copies import join_names
from entrenous.base.identifiers import PersonId
from entrenous.base.language import translated
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.device.identities import NameOf, current_name_lookup, own_device
from entrenous.device.sent_copies import CopyState, copy_state
from entrenous.device.sent_messages import SendState
from entrenous.send.commands.catch_up import COPIES_DISCLAIMER, fetch_and_print_notices
from entrenous.send.commands.message_list import (
    AllOption,
    LastOption,
    refuse_last_with_all,
    resolve_person_filter,
    select_messages,
)
from entrenous.send.message.react import ReactionResult, react, reactions_to
from entrenous.send.people.contact_history import copies_of_media
from entrenous.send.recall import recall_in_words, recall_message
from entrenous.send.status import SentMessageStatus, copy_deliveries, query_sent_messages
from entrenous.terminal.output import (
    hint_problems_except_unreachable,
    print_json,
    print_line,
    rfc3339_utc,
)
from entrenous.terminal.typed_input import STDIN_OPTION_ADVICE, JsonFlag, read_typed_line
from entrenous.wire.relay_nouns import EnvelopeState


def add_commands(app: typer.Typer) -> None:
    app.command("recall")(recall)
    app.command("sent")(list_sent_messages)
    app.command("react")(react_to_message)


def recall(context: typer.Context, message: str, as_json: JsonFlag = False) -> None:
    """Take a message back from everybody.

    Before the first opening of a copy, this is enforced by cryptography: nobody can open it any
    more. After it, the recipient's program is asked to delete it; they may have photographed it.
    """
    if not message.strip():
        raise typer.BadParameter(
            translated(
                "say which message to take back. To list the messages you sent: entrenous sent"
            )
        )
    with opened_device(context) as device:
        recalls = recall_message(message, device)
        who = _current_name_by_name_when_sent(message, device)
    if as_json:
        copies = [
            {"to": who[one.to], "opened_before": one.opened, "asked": one.asked} for one in recalls
        ]
        print_json({"schema": "entrenous/recall/1", "message": message, "copies": copies})
        return
    for one in recalls:
        print_line(recall_in_words(who[one.to], one))


def list_sent_messages(
    context: typer.Context,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="List only what went to this person or circle; may be repeated."
        ),
    ] = None,
    last: LastOption = None,
    everything: AllOption = False,
    as_json: JsonFlag = False,
) -> None:
    """List what you sent and what became of each copy: messages not opened yet, and the newest.

    Before the first opening of a copy, taking back and expiry are enforced by cryptography; after
    it, by the recipient's program.

    If you compared keys with a recipient, their device signs that the copy arrived and was opened.
    """
    refuse_last_with_all(last, everything=everything)
    with opened_device(context) as device:
        every, call = query_sent_messages(device), current_name_lookup(device)
        messages = _filter_by_recipient(to, every, call, device) if to else every
        whole = everything or (as_json and last is None)
        found = select_messages(messages, _may_still_be_opened, last, everything=whole)
        us = own_device(device).person.id if any(one.copies for one in found.these) else None
        listed = [
            (one, _copy_states(one, call, device), _reactions_with_names(one, us, call, device))
            for one in found.these
        ]
    hint_problems_except_unreachable(problem for one in every for problem in one.problems)
    if as_json:
        shown = [_sent_json(*each) for each in listed]
        print_json({"schema": "entrenous/sent/1", "messages": shown})
        return
    for each in listed:
        _print_sent(*each)
    found.print_how_to_list_older("sent", "--to", to or ())
    if not listed:
        print_line(
            translated("Nothing sent to {to} from this device.").format(to=join_names(to))
            if to
            else translated("Nothing sent from this device yet.")
        )
    if us is not None:
        print_line(translated(COPIES_DISCLAIMER))


def _print_sent(
    status: SentMessageStatus, copies: list[tuple[str, CopyState]], answers: list[tuple[str, str]]
) -> None:
    words = ", ".join(f"{who} ({describe_copy_state(fate)})" for who, fate in copies)
    print_line(f"{status.message.name}  {rfc3339_utc(status.message.sent_at)}  {words}")
    if answers:
        print_line("    " + ", ".join(f"{sign} {who}" for who, sign in answers))


def _filter_by_recipient(
    names: list[str], statuses: tuple[SentMessageStatus, ...], name_of: NameOf, device: Device
) -> tuple[SentMessageStatus, ...]:
    recipients = [tuple(_recipients(status, name_of)) for status in statuses]
    wanted = resolve_person_filter(
        names, {name for people in recipients for _, name in people}, device
    )
    return tuple(
        status
        for status, people in zip(statuses, recipients, strict=True)
        if any(wanted.matches(*person) for person in people)
    )


def _recipients(
    status: SentMessageStatus, name_of: NameOf
) -> Iterator[tuple[PersonId | None, str]]:
    """Yield each recipient, with the name under which the recipient is listed."""
    if status.copies:
        yield from ((copy.person, name_of(copy.person, copy.to)) for copy in status.copies)
    else:
        yield from ((None, copy.to) for copy in copies_of_media(status.message))


def _may_still_be_opened(status: SentMessageStatus) -> bool:
    """Check whether a copy may still be opened for the first time."""
    return any(
        copy.state in (EnvelopeState.WAITING, EnvelopeState.DELIVERED)
        and copy.departure is not SendState.REFUSED
        and not copy.opened
        for copy in status.copies
    )


def _current_name_by_name_when_sent(name: str, device: Device) -> Mapping[str, str]:
    """Map each recipient's name from the time of sending to the current name."""
    name_of, copies = (
        current_name_lookup(device),
        copy_deliveries(device.ledger.message_named(name), device),
    )
    return {copy.to: name_of(copy.person, copy.to) for copy in copies}


def _sent_json(
    status: SentMessageStatus, copies: list[tuple[str, CopyState]], answers: list[tuple[str, str]]
) -> dict[str, object]:
    return {
        "message": status.message.name,
        "sent_at": rfc3339_utc(status.message.sent_at),
        "copies": [
            {
                "to": to,
                "state": fate.state,
                "at": rfc3339_utc(fate.at) if fate.at else None,
                "at_precision_s": _time_precision_s(fate),
                "signed": fate.signed,
            }
            for to, fate in copies
        ],
        "reactions": [{"from": who, "reaction": sign} for who, sign in answers],
    }


def describe_copy_state(fate: CopyState) -> str:
    """Describe the state of a copy and its time, as far as known."""
    if fate.at is None:
        return fate.state
    # Signed times are in whole minutes (docs/spec/receipts.md). Shown as a time, the start of the
    # minute would look exact, and it may be before the message was sent.
    if fate.signed:
        signed = translated("{state} in the minute {minute}, signed by their device")
        return signed.format(state=fate.state, minute=f"{fate.at:%Y-%m-%dT%H:%MZ}")
    return f"{fate.state} {rfc3339_utc(fate.at)}"


def _time_precision_s(fate: CopyState) -> int | None:
    """Return the precision of the time ``at`` in seconds; None if no time is known."""
    if fate.at is None:
        return None
    return 60 if fate.signed else 1


def _copy_states(
    status: SentMessageStatus, name_of: NameOf, device: Device
) -> list[tuple[str, CopyState]]:
    if status.copies:
        fates = ((copy, copy_state(copy, status.message, device)) for copy in status.copies)
        return [(name_of(copy.person, copy.to), fate) for copy, fate in fates]
    labels = dict.fromkeys(copy.to for copy in copies_of_media(status.message))
    elsewhere = CopyState(translated("marked for another channel"), None, signed=False)
    return [(label, elsewhere) for label in labels]


def _reactions_with_names(
    status: SentMessageStatus, us: PersonId | None, name_of: NameOf, device: Device
) -> list[tuple[str, str]]:
    """Return the reactions to a message. A message marked for another channel has none."""
    if us is None or not status.copies:
        return []
    names = {copy.person: name_of(copy.person, copy.to) for copy in status.copies}
    return [
        (names.get(answer.by, translated("you")), answer.reaction.text or "")
        for answer in reactions_to(us, status.message.id, device)
    ]


def react_to_message(
    context: typer.Context,
    message: str,
    emoji: Annotated[
        str | None,
        typer.Argument(
            metavar="-|EMOJI", help=f"An emoji or two, at most 32 bytes. {STDIN_OPTION_ADVICE}"
        ),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Remove your reaction.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """React to a message with an emoji; everybody in its conversation whom you know sees it.

    It is encrypted like a message, and the relay cannot tell it from a recall.
    """
    if (emoji is None) != none:
        raise typer.BadParameter(translated("give one EMOJI or -, or --none to take yours away"))
    emoji = (
        None if emoji is None else read_typed_line(emoji, translated("An emoji or two"), context)
    )
    with opened_device(context) as device:
        fetch_and_print_notices(device)
        reacted = react(message, emoji, device)
    if as_json:
        answer = {"message": message, "reaction": emoji, "to": list(reacted.to)}
        print_json({"schema": "entrenous/react/1", **answer, "waits": list(reacted.waits)})
        return
    print_line(_reaction_result_in_words(message, emoji, reacted))


def _reaction_result_in_words(message: str, emoji: str | None, reacted: ReactionResult) -> str:
    done = (
        translated("took your reaction to {message} away")
        if emoji is None
        else translated("{emoji} to {message}")
    ).format(message=message, emoji=emoji)
    if not reacted.waits:
        return translated("{done}: told {names}").format(done=done, names=", ".join(reacted.to))
    later = translated("{done}: {names} will be told when their relay answers")
    return later.format(done=done, names=", ".join(reacted.waits))
