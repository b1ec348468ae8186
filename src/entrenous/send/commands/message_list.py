"""Choose the messages that the commands ``inbox`` and ``sent`` print, and print received messages.

By default, people see the messages that wait to be opened and the newest ones; scripts get all.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

import typer

from entrenous.base.identifiers import PersonId
from entrenous.base.language import ENGLISH, language_of_person, localized_number, translated
from entrenous.device.device import Device
from entrenous.device.identities import (
    NameOf,
    comparable_name,
    contacts,
    current_name_lookup,
    own_device,
)
from entrenous.send.conversations import STRANGER_LABEL, other_recipients, other_recipients_in_words
from entrenous.send.inbox import ENDED_STATES, name_of_message, text_to_show
from entrenous.send.message.react import reactions_to
from entrenous.send.message.states import InboxState, ReceivedMessage
from entrenous.send.people.circle_members import person_ids_named
from entrenous.send.people.keep_contacts import contact_named
from entrenous.terminal.output import print_line, rfc3339_utc

ListedT = TypeVar("ListedT")
NEWEST_MESSAGES_LISTED: Final = 20
LastOption = Annotated[
    int | None, typer.Option("--last", min=1, metavar="N", help="List only the newest N.")
]
AllOption = Annotated[
    bool,
    typer.Option(
        "--all",
        help=f"List all, instead of those that wait and the newest {NEWEST_MESSAGES_LISTED}.",
    ),
]


@dataclass(frozen=True, slots=True)
class PersonFilter:
    """The people whose messages are listed.

    A person is recognised by id, or by the name in the list, since the list also names people who
    are not contacts.
    """

    people: frozenset[PersonId]
    names: frozenset[str]

    def matches(self, person: PersonId | None, name: str) -> bool:
        """Return whether a person with this id, or with this name in the list, is among them."""
        return person in self.people or comparable_name(name) in self.names


def resolve_person_filter(
    names: Sequence[str], listed: Iterable[str], device: Device
) -> PersonFilter:
    """Resolve names of people, of circles, and of people who are ``listed`` but no longer known.

    Raises:
        UnknownPerson: a name is none of these.
    """
    there, people = {comparable_name(name) for name in listed}, set[PersonId]()
    for name in names:
        found = person_ids_named(name, device)
        if not found and comparable_name(name) not in there:
            contact_named(name, device)
        people |= found
    return PersonFilter(frozenset(people), frozenset(map(comparable_name, names)))


@dataclass(frozen=True, slots=True)
class MessageList(Generic[ListedT]):
    """The messages to list, oldest first, and the number of older ones left out."""

    these: tuple[ListedT, ...]
    older: int

    def print_how_to_list_older(self, command: str, option: str, names: Sequence[str]) -> None:
        """Print how to list the messages that were left out."""
        if self.older:
            asked = "".join(f"{option} {shlex.quote(name)} " for name in names)
            older = translated("{count} older: {command}")
            english = language_of_person() == ENGLISH
            count = f"{self.older:,}" if english else localized_number(self.older)
            print_line(older.format(count=count, command=f"entrenous {command} {asked}--all"))


def refuse_last_with_all(last: int | None, *, everything: bool) -> None:
    """Raise BadParameter if both ``--last`` and ``--all`` were given."""
    if last is not None and everything:
        raise typer.BadParameter(translated("give either --last N or --all"))


def select_messages(
    messages: Sequence[ListedT],
    waits: Callable[[ListedT], bool],
    last: int | None,
    *,
    everything: bool,
) -> MessageList[ListedT]:
    """Return all messages if ``everything``, or only the newest ``last`` messages if ``last`` is
    given.

    If neither is given, return the newest 20, and those of the older ones for which ``waits`` is
    true. The order stays: oldest first.
    """
    if everything:
        return MessageList(tuple(messages), 0)
    start = max(0, len(messages) - (last or NEWEST_MESSAGES_LISTED))
    before = () if last else tuple(filter(waits, messages[:start]))
    return MessageList((*before, *messages[start:]), start - len(before))


def messages_as_json(
    messages: Iterable[ReceivedMessage], device: Device
) -> Iterator[dict[str, object]]:
    """Yield these messages as JSON objects; people's names are read only once."""
    names = None
    for message in messages:
        names = names or current_people_names(device)
        yield _message_json(message, names, device)


@dataclass(frozen=True, slots=True)
class PeopleNames:
    """Our own name, and the current names of everybody we know."""

    me: PersonId
    ours: str
    known: Mapping[PersonId, str]
    name_of: NameOf

    def sender_name(self, message: ReceivedMessage) -> str:
        """Return the sender's current name; if it is not known, the one stored with the message."""
        if message.sender == self.me:
            return self.ours
        return self.name_of(message.sender, message.sender_name)

    def name_beside_message(self, person: PersonId) -> str:
        """Return the name under which to show a person beside a message."""
        return (
            translated("you")
            if person == self.me
            else self.known.get(person, translated(STRANGER_LABEL))
        )

    def other_recipients(self, message: ReceivedMessage) -> list[str]:
        """Return the names of the other recipients, known people first."""
        return other_recipients(message, self.me, self.known)


def current_people_names(device: Device) -> PeopleNames:
    """Read the current names; raises DeviceWithoutRelay."""
    me = own_device(device)
    known = {contact.person.id: contact.name for contact in contacts(device)}
    return PeopleNames(me.person.id, me.name, known, current_name_lookup(device))


def _message_json(
    message: ReceivedMessage, names: PeopleNames, device: Device
) -> dict[str, object]:
    # For scripts, "state" is "expired" for each message that cannot be opened any more, unless it
    # was taken back; "why" has the exact state.
    over = message.state in ENDED_STATES[1:]
    state = InboxState.EXPIRED if over else message.state
    reactions = [
        {"from": names.name_beside_message(one.by), "reaction": one.reaction.text}
        for one in reactions_to(message.sender, message.id, device)
    ]
    return {
        "message": message.name,
        "from": names.sender_name(message),
        "state": state.value,
        "why": message.state.value,
        "sent_at": rfc3339_utc(message.sent_at),
        "expires_at": None if message.expires_at is None else rfc3339_utc(message.expires_at),
        "opens": message.opens,
        "also": names.other_recipients(message),
        "text": text_to_show(message, device),
        "reply": None if message.reply is None else name_of_message(message.reply, device),
        "reactions": reactions,
    }


def print_message(message: dict[str, object]) -> None:
    """Print a message: one line, and details below it."""
    first = translated("{message}  from {sender}, {state}{limit}")
    print_line(
        first.format(
            message=message["message"],
            sender=message["from"],
            state=translated(str(message["why"])),
            limit=_opening_limit_in_words(message),
        )
    )
    print_other_recipients(message, "    ")
    print_text(message["text"], "    ")
    print_reply_and_reactions(message, "    ")


def print_other_recipients(message: dict[str, object], indent: str = "") -> None:
    """Print who else got the message, according to its sender."""
    also = message["also"]
    if not isinstance(also, list) or not also:
        return
    print_line(f"{indent}{other_recipients_in_words(also)}")


def print_reply_and_reactions(message: dict[str, object], indent: str = "") -> None:
    """Print the message that this one replies to, and the reactions to it."""
    if message["reply"]:
        print_line(indent + translated("answers {message}").format(message=message["reply"]))
    reactions = message["reactions"]
    if isinstance(reactions, list) and reactions:
        by_sign = dict[str, list[str]]()
        for one in reactions:
            by_sign.setdefault(one["reaction"], []).append(one["from"])
        for sign, names in by_sign.items():
            print_line(f"{indent}{sign} {', '.join(names)}")


def print_text(text: object, indent: str = "") -> None:
    """Print the sender's text, line by line."""
    for line in str(text or "").splitlines():
        print_line(indent + line)


def _opening_limit_in_words(message: dict[str, object]) -> str:
    opens = message["opens"]
    if opens is None or message["why"] != InboxState.WAITING.value:
        return ""
    once = translated(", opens once")
    return once if opens == 1 else translated(", opens {count} times").format(count=opens)
