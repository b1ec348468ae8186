"""``entrenous invite``, ``entrenous person ...`` and ``entrenous circle ...``."""

from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.errors import HOW_TO_UPDATE, quote_for_shell
from entrenous.base.identity import Contact
from entrenous.base.language import day_in_words, plural, translatable, translated
from entrenous.base.limits import INVITE_DAYS, INVITE_PEOPLE_MAX
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.send.commands.catch_up import fetch_and_print_notices
from entrenous.send.commands.verify import verify
from entrenous.send.flush import flush_outbox
from entrenous.send.letter.relay_tasks import has_tokens_to_withdraw
from entrenous.send.letter.sessions import repair_sessions
from entrenous.send.people.block import block_contact, rename_contact, set_receipts, unblock_contact
from entrenous.send.people.circle_members import (
    create_or_extend_circle,
    members_of,
    names_of_circles_with,
    remove_from_circle_or_delete,
)
from entrenous.send.people.circles import Circle, circles
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import forget_contact, protocol_mismatch_error
from entrenous.send.people.notices import TRUST_WORDS
from entrenous.send.people.people_nouns import ContactProgramTooOld, OwnProgramTooOld
from entrenous.send.people.qr_codes import qr_picture, qr_terminal_text
from entrenous.send.tokens.use import would_relay_accept_next_letter
from entrenous.terminal.output import hint, print_json, print_line
from entrenous.terminal.output import rfc3339_utc as when_exactly
from entrenous.terminal.output_files import write_new
from entrenous.terminal.typed_input import STDIN_OPTION_ADVICE, JsonFlag, read_typed_line

_PROTOCOL_NOTES: Final = {
    "newer": translatable(", cannot read what this Entrenous writes: update it: {update}"),
    "older": translatable(", has an Entrenous that is too old: they update it: {update}"),
}


def add_commands(app: typer.Typer) -> None:
    group = typer.Typer(help="Groups of people to whom you send together.", no_args_is_help=True)
    group.command("add")(add_circle_members)
    group.command("list")(list_circles)
    group.command("remove")(remove_members_or_circle)
    app.add_typer(group, name="circle")
    app.command("invite")(invite)
    people = typer.Typer(help="The people you write to.", no_args_is_help=True)
    people.command("add")(add_person_by_link)
    people.command("list")(list_people)
    people.command("verify")(verify)
    people.command("rename")(rename_person)
    people.command("block")(block_person)
    people.command("unblock")(unblock_person)
    people.command("repair")(repair_sessions_with_person)
    people.command("receipts")(choose_receipts)
    people.command("forget")(forget_person)
    app.add_typer(people, name="person")


def invite(
    context: typer.Context,
    qr: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Also write a QR code: a PNG file, or - for this terminal."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--for", metavar="NAME", help="Your name for the person who uses the link."),
    ] = None,
    uses: Annotated[
        int,
        typer.Option(
            min=1, max=INVITE_PEOPLE_MAX, metavar="N", help="Make a link for N people instead of 1."
        ),
    ] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Make a link with which one person, or more with --uses, can add you.

    You are told who uses it, when, and with which device. Once the link is used up, anybody else
    who uses it is not added, and you are told of that too.
    """
    if name is not None and uses > 1:
        raise typer.BadParameter(
            translated("a link --for somebody is for one person: leave out --uses")
        )
    with opened_device(context) as device:
        link = make_invite_link(device, name=name, people=uses)
    if qr is not None and qr != "-":
        write_new(Path(qr), qr_picture(link))
    if as_json:
        print_json({"schema": "entrenous/invite/1", "link": link, "for": name, "uses": uses})
        return
    print_line(link)
    print_line()
    if qr == "-":
        print_line(qr_terminal_text(link))
        print_line()
    whom = name or plural("one person", "{count} people", uses)
    print_line(
        translated(
            "This link is for {whom}. Give it to nobody else, over a channel you trust."
        ).format(whom=whom)
    )
    print_line(translated("They add you with: entrenous person add - --as NAME"))
    print_line(
        translated(
            "It is valid for {days} days. You are told who joined by it; compare keys then."
        ).format(days=INVITE_DAYS)
    )


def add_person_by_link(
    context: typer.Context,
    link: Annotated[
        str,
        typer.Argument(
            metavar="-|LINK", help=f"The link that they gave you. {STDIN_OPTION_ADVICE}"
        ),
    ],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Your name for this person.")],
    as_json: JsonFlag = False,
) -> None:
    """Add somebody by the invite link they gave you.

    They are known by link: somebody who changed the link on its way may be in their place. To be
    sure, compare keys: entrenous person verify NAME.
    """
    link = read_typed_line(link, translated("Their link"), context)
    with opened_device(context) as device:
        before = {one.person.id: one.name for one in contacts(device)}
        contact = add_person(link, name, device)
        waits = not would_relay_accept_next_letter(contact, device)
    if waits:
        hint(
            translated(
                "You have now used up the messages that this link allows. Before you can "
                "write to {name} again, {name} has to open their inbox, and after that you "
                "have to open yours. You need no new link for this."
            ).format(name=contact.name)
        )
    if as_json:
        print_json({"schema": "entrenous/person/1", **_contact_json(contact)})
        return
    if contact.compared:
        print_line(
            translated("{name} is added, and the keys are the ones that you compared.").format(
                name=contact.name
            )
        )
    else:
        print_line(
            translated(
                "{name} is added, and known by link: the keys are the ones the link names."
            ).format(name=contact.name)
        )
        print_line(
            translated(
                "Whoever could change the link on its way could name their own. To make "
                "sure,\ncompare: entrenous person verify {name}"
            ).format(name=quote_for_shell(contact.name))
        )
    called = before.get(contact.person.id, contact.name)
    if called != contact.name:
        print_line(
            translated("You had called this person {before}; from now on it is {name}.").format(
                before=called, name=contact.name
            )
        )
    print_line(
        translated("next: entrenous send PHOTO --to {name}").format(
            name=quote_for_shell(contact.name)
        )
    )


def list_people(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List everybody you can write to."""
    with opened_device(context) as device:
        fetch_and_print_notices(device)
        known = contacts(device)
        speak = {contact.name: _protocol_difference(contact, device) for contact in known}
    if as_json:
        people = [
            _contact_json(contact) | ({"protocol": note} if (note := speak[contact.name]) else {})
            for contact in known
        ]
        print_json({"schema": "entrenous/people/1", "people": people})
        return
    for contact in known:
        note = translated(_PROTOCOL_NOTES.get(speak[contact.name], ""))
        note = note.format(update=translated(HOW_TO_UPDATE))
        print_line(f"{contact.name}  ({_trust_in_words(contact)}{note})")
    if not known:
        print_line(translated("Nobody yet. Make a link for people to add you: entrenous invite"))


def rename_person(context: typer.Context, name: str, new_name: str) -> None:
    """Rename somebody, for example when two names are easily mistaken for each other."""
    with opened_device(context) as device:
        contact = rename_contact(name, new_name, device)
    print_line(translated("You call this person {name} from now on.").format(name=contact.name))


def block_person(context: typer.Context, name: str) -> None:
    """Accept nothing from somebody any more, and let nothing go to them.

    They are not told. But their next messages are refused, and they see that. Their earlier
    messages stay in your inbox, and they can still take them back.
    """
    with opened_device(context) as device:
        contact = block_contact(name, device)
        flush_outbox(device)
        later = has_tokens_to_withdraw(device)
    print_line(
        translated("{name} is blocked: {when}, your relay accepts nothing more from them.").format(
            name=contact.name, when=_refusal_start_in_words(later)
        )
    )
    print_line(
        translated(
            "They get no message about it, but when they next write to you, they see that "
            "their message was refused."
        )
    )
    print_line(translated("If they still have a link of yours and use it, nothing happens."))
    print_line(
        translated("To unblock them: entrenous person unblock {name}").format(
            name=quote_for_shell(contact.name)
        )
    )


def unblock_person(context: typer.Context, name: str) -> None:
    """Unblock somebody."""
    with opened_device(context) as device:
        contact = unblock_contact(name, device)
        flush_outbox(device)
    print_line(
        translated(
            "{name} can write to you again as soon as their program has fetched its messages."
        ).format(name=contact.name)
    )


def repair_sessions_with_person(context: typer.Context, name: str) -> None:
    """Start over with somebody whose letters can't be opened here, or who can't open yours.

    This happens after one of you restored an older copy of the device. Keys stay the same, and what
    could not be opened has to be sent again.
    """
    with opened_device(context) as device:
        contact = repair_sessions(name, device)
        flush_outbox(device)
    print_line(
        translated(
            "You and {name} begin a new encrypted conversation as soon as their program has "
            "fetched its messages."
        ).format(name=contact.name)
    )
    print_line(translated("If you miss a message, ask for it to be sent again."))


def choose_receipts(
    context: typer.Context,
    name: str,
    on: Annotated[
        bool,
        typer.Option(
            "--on/--off", help="Whether this person is told; they are not until you say so."
        ),
    ] = False,
) -> None:
    """Choose whether somebody known by link is told when what they send arrives and is opened.

    People whose keys you compared are always told, unless ENTRENOUS_RECEIPTS=off; people who count
    as unknown never are.
    """
    with opened_device(context) as device:
        contact = set_receipts(name, device, wanted=on)
    if contact.compared:
        print_line(
            translated("{name}'s keys are compared, so {name} is told.").format(name=contact.name)
        )
    elif on:
        print_line(
            translated("{name} is told, as long as you know them by link.").format(
                name=contact.name
            )
        )
    else:
        print_line(translated("{name} is not told.").format(name=contact.name))


def forget_person(context: typer.Context, name: str) -> None:
    """Forget somebody: their keys, your way to write to them, and theirs to write to you.

    Their messages stay in your inbox, and copies that you sent them can still be traced.
    """
    with opened_device(context) as device:
        within = names_of_circles_with(name, device)
        contact = forget_contact(name, device)
        flush_outbox(device)
        later = has_tokens_to_withdraw(device)
    print_line(
        translated(
            "{name} is forgotten here; {when}, your relay accepts nothing more from them."
        ).format(name=contact.name, when=_refusal_start_in_words(later))
    )
    if within:
        print_line(
            translated("They are no longer in your circle {names}.").format(
                names=f" {translated('and')} ".join(within)
            )
        )
    print_line(
        translated(
            "What they sent stays in your inbox. A link that let them in counts as used; one "
            "that you\nmade and nobody used lets in whoever has it, for {days} days at "
            "most."
        ).format(days=INVITE_DAYS)
    )


def _refusal_start_in_words(later: bool) -> str:
    """Return the words that say when the relay begins to refuse what somebody sends."""
    return translated("as soon as your relay has answered") if later else translated("from now on")


def _contact_json(contact: Contact) -> dict[str, object]:
    shown: dict[str, object] = {
        "name": contact.name,
        "trust": contact.trust.value,
        "receipts": contact.gets_receipts,
        "keys": contact.person.id.hex(),
    }
    if contact.blocked:
        shown["blocked"] = True
    if contact.changed_at is not None:
        shown["changed_at"] = when_exactly(contact.changed_at)
    return shown


def _protocol_difference(contact: Contact, device: Device) -> str:
    """Return "newer" or "older" if the contact's program is too new or too old for ours; otherwise
    an empty text.
    """
    match protocol_mismatch_error(contact, device):
        case None:
            return ""
        case OwnProgramTooOld():
            return "newer"
        case ContactProgramTooOld():
            return "older"


def _trust_in_words(contact: Contact) -> str:
    words = translated(TRUST_WORDS[contact.trust])
    if contact.changed_at is not None:
        words += translated(", devices changed on {day}").format(
            day=day_in_words(contact.changed_at)
        )
    return translated("blocked, {keys}").format(keys=words) if contact.blocked else words


PersonOption = Annotated[
    list[str] | None, typer.Option("--person", metavar="NAME", help="A person; may be repeated.")
]


def add_circle_members(
    context: typer.Context, name: str, person: PersonOption = None, as_json: JsonFlag = False
) -> None:
    """Add people to a circle, creating it if there is none with that name.

    The circle's name stays on your devices. If you send something to the circle, everybody gets
    their own copy and sees who else got one. A number is sent along, by which its members can tell
    that two messages went to the same circle.
    """
    with opened_device(context) as device:
        circle = create_or_extend_circle(name, person or [], device)
        people = _member_names(circle, device)
    if as_json:
        print_json({"schema": "entrenous/circle/1", "name": circle.name, "people": people})
        return
    print_line(f"{circle.name}: {', '.join(people)}")
    print_line(
        translated("next: entrenous send PHOTO --to {name}").format(
            name=quote_for_shell(circle.name)
        )
    )


def list_circles(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List your circles, and who is in them."""
    with opened_device(context) as device:
        every = {circle.name: _member_names(circle, device) for circle in circles(device.vault)}
    if as_json:
        listed = [{"name": name, "people": people} for name, people in every.items()]
        print_json({"schema": "entrenous/circles/1", "circles": listed})
        return
    for name, people in every.items():
        print_line(f"{name}: {', '.join(people)}")
    if not every:
        print_line(translated("None yet. Make one: entrenous circle add NAME --person NAME"))


def remove_members_or_circle(
    context: typer.Context, name: str, person: PersonOption = None, as_json: JsonFlag = False
) -> None:
    """Remove people from a circle, or delete the whole circle; the people stay."""
    with opened_device(context) as device:
        left = remove_from_circle_or_delete(name, person or [], device)
        people = [] if left is None else _member_names(left, device)
    if as_json:
        print_json({"schema": "entrenous/circle/1", "name": name, "people": people})
        return
    print_line(
        translated("The circle {name} is deleted.").format(name=name)
        if left is None
        else f"{name}: {', '.join(people)}"
    )


def _member_names(circle: Circle, device: Device) -> list[str]:
    return [contact.name for contact in members_of(circle, device)]
