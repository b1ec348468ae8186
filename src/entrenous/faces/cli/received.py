"""A message that came, as ``inbox`` and ``open`` show it: to scripts, and in lines to people."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from entrenous.faces.cli.output import say, when
from entrenous.model.ids import PersonId
from entrenous.model.received import InboxState, Received
from entrenous.model.several import several
from entrenous.ports import Device
from entrenous.send.acquaintance.called import Call, called_now
from entrenous.send.acquaintance.people import contacts
from entrenous.send.devices.self import who_am_i
from entrenous.send.doubts.within import who_got
from entrenous.send.inbox import ENDED
from entrenous.send.message.meant import name_meant
from entrenous.send.message.react import reactions_to

_STRANGER: Final = "somebody"


def shown_messages(messages: Iterable[Received], device: Device) -> Iterator[dict[str, object]]:
    """Each of these as scripts read it. Who is who is read once for all of them."""
    names = None
    for message in messages:
        names = names or names_now(device)
        yield _shown(message, names, device)


@dataclass(frozen=True, slots=True)
class Names:
    """Who we are, and what everybody whom we know is called now."""

    me: PersonId
    ours: str
    known: Mapping[PersonId, str]
    call: Call

    def sender(self, message: Received) -> str:
        """By her name of now; a message keeps the one that she had when it came."""
        if message.sender == self.me:
            return self.ours
        return self.call(message.sender, message.sender_name)

    def whose(self, person: PersonId) -> str:
        """What a person is called beside a message."""
        return "you" if person == self.me else self.known.get(person, _STRANGER)

    def also(self, message: Received) -> list[str]:
        """Whom we know first, by name."""
        others = who_got(message) - {self.me, message.sender}
        names = [self.whose(person) for person in others]
        return sorted(names, key=lambda name: (name == _STRANGER, name))


def names_now(device: Device) -> Names:
    """Read them; raises OfflineDevice."""
    me = who_am_i(device)
    known = {contact.person.id: contact.name for contact in contacts(device)}
    return Names(me.person.id, me.name, known, called_now(device))


def _shown(message: Received, names: Names, device: Device) -> dict[str, object]:
    over = message.state in ENDED[1:]  # to a script: it can't be opened any more
    state = InboxState.EXPIRED if over else message.state
    reactions = [
        {"from": names.whose(one.by), "reaction": one.reaction.text}
        for one in reactions_to(message.sender, message.id, device)
    ]
    return {
        "message": message.name,
        "from": names.sender(message),
        "state": state.value,
        "why": message.state.value,
        "sent_at": when(message.sent_at),
        "expires_at": None if message.expires_at is None else when(message.expires_at),
        "opens": message.opens,
        "also": names.also(message),
        "text": message.text,
        "reply": None if message.reply is None else name_meant(message.reply, device),
        "reactions": reactions,
    }


def list_message(message: dict[str, object]) -> None:
    """Print it: one line, and what stands below it."""
    limit = _limit(message)
    say(f"{message['message']}  from {message['from']}, {message['why']}{limit}")
    list_others(message, "    ")
    say_text(message["text"], "    ")
    list_around(message, "    ")


def list_others(message: dict[str, object], indent: str = "") -> None:
    """Who else has it, as its sender says: an answer goes to them, too."""
    also = message["also"]
    if not isinstance(also, list) or not also:
        return
    known = [name for name in also if name != _STRANGER]
    strangers = len(also) - len(known)
    people = "1 person" if strangers == 1 else f"{strangers} people"
    words = several(known, strangers) if known else f"{people} whom you do not know"
    say(f"{indent}also to {words}")


def list_around(message: dict[str, object], indent: str = "") -> None:
    """What belongs to a message: the one that it answers, and what others answered to it."""
    if message["reply"]:
        say(f"{indent}answers {message['reply']}")
    reactions = message["reactions"]
    if isinstance(reactions, list) and reactions:
        by_sign = dict[str, list[str]]()
        for one in reactions:
            by_sign.setdefault(one["reaction"], []).append(one["from"])
        for sign, names in by_sign.items():
            say(f"{indent}{sign} {', '.join(names)}")


def say_text(text: object, indent: str = "") -> None:
    """What its sender wrote, line by line."""
    for line in str(text or "").splitlines():
        say(indent + line)


def _limit(message: dict[str, object]) -> str:
    opens = message["opens"]
    if opens is None or message["why"] != InboxState.WAITING.value:
        return ""
    return ", opens once" if opens == 1 else f", opens {opens} times"
