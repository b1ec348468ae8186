"""React to a message in a sign or two, and keep the reactions of others (docs/spec/letter.md,
section 6).
"""

from dataclasses import dataclass

from entrenous.base.identifiers import MessageId, PersonId
from entrenous.base.limits import REACTION_BYTES_MAX
from entrenous.device.device import Device
from entrenous.device.identities import refuse_unready, who_am_i
from entrenous.device.sent_messages import SealedCopy
from entrenous.device.vault_tables import (
    INBOX,
    REACTION,
    SEALED,
    inbox_key,
    load_record,
    load_records,
    store_record,
)
from entrenous.send.conversations import conversation_of, names_in
from entrenous.send.flush import flush
from entrenous.send.inbox import message_meant
from entrenous.send.letter.letter_nouns import (
    BadReaction,
    KeptReaction,
    NobodyToAnswer,
    Reaction,
    ReplyTo,
    is_sign,
)
from entrenous.send.letter.sessions import with_sessions
from entrenous.send.letter.write import addressees, plain_outer, write_letter
from entrenous.send.message.states import Received
from entrenous.send.people.keep_contacts import (
    contacts_named,
    no_common_protocol,
    refuse_other_protocols,
)


@dataclass(frozen=True, slots=True)
class Reacted:
    """Who will see a reaction, and of whom it still waits here."""

    to: tuple[str, ...]
    waits: tuple[str, ...]


def react(name: str, sign: str | None, device: Device) -> Reacted:
    """Answer a message in a sign, or take that back (None): everybody of its conversation whom we
    know is told, each by a letter of her own, but whose lists contradict each other, and who speaks
    no protocol that we speak.

    Raises:
        UnknownMessage, BadReaction, NobodyToAnswer, WeAreTooOld, TheyAreTooOld, OfflineDevice,
        RolledBack, NotConfirmed.
        RelayUnreachable: there is no session yet with somebody.
    """
    refuse_unready(device)
    _check(sign)
    meant = message_meant(name, device)
    reaction = Reaction(meant.sender, meant.message, sign)
    known = contacts_named(names_in(conversation_of(name, device), device), device)
    readers = [one for one in known if not one.forked]
    people = [one for one in readers if no_common_protocol(one, device) is None]
    if not people:
        refuse_other_protocols(readers, device)
        raise NobodyToAnswer(name=name)
    to = with_sessions([one for person in people for one in addressees(person, device)], device)
    outers = [plain_outer(device) for _ in to]
    with device.vault.together():
        keep_reaction(reaction, who_am_i(device).person.id, device)
        for one, outer in zip(to, outers, strict=True):
            write_letter(reaction, one, outer, device)
    stayed = flush(device).stayed
    waits = (
        one.contact.name for one, outer in zip(to, outers, strict=True) if outer.envelope in stayed
    )
    return Reacted(tuple(person.name for person in people), tuple(dict.fromkeys(waits)))


def take_reaction(reaction: Reaction, by: PersonId, device: Device) -> None:
    """Keep what somebody answered to a message that they have and we have; else it has no effect.

    Call it in the transaction that moves the ratchet on.
    """
    if reaction.text is not None and not is_sign(reaction.text):
        return  # a changed program's: it would write lines of its own into a list
    if by in _who_has(ReplyTo(reaction.sender, reaction.message), device):
        keep_reaction(reaction, by, device)


def keep_reaction(reaction: Reaction, by: PersonId, device: Device) -> None:
    """Keep one person's newest answer to a message."""
    key = f"{inbox_key(reaction.sender, reaction.message)} {by.hex()}"
    if reaction.text is None:
        device.vault.drop(REACTION, key)
    else:
        store_record(KeptReaction(reaction, by, device.clock.now()), REACTION, key, device.vault)


def reactions_to(sender: PersonId, message: MessageId, device: Device) -> tuple[KeptReaction, ...]:
    """What was answered to a message, the oldest first."""
    keys = device.vault.keys(REACTION, inbox_key(sender, message))
    found = (load_record(KeptReaction, REACTION, key, device.vault) for key in keys)
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.at))


def _who_has(meant: ReplyTo, device: Device) -> set[PersonId]:
    """Everybody who is known here to have a message; nobody when it is not here."""
    if meant.sender == who_am_i(device).person.id:
        sent = load_records(SealedCopy, SEALED, device.vault)
        return {copy.person for copy in sent if copy.message == meant.message}
    key = inbox_key(meant.sender, meant.message)
    received = load_record(Received, INBOX, key, device.vault)
    if received is None:
        return set()
    audience = () if received.manifest is None else received.manifest.audience
    return {received.sender, *(person for person, _ in audience)}


def _check(sign: str | None) -> None:
    if sign is None:
        return
    try:
        size = len(sign.encode())
    except UnicodeEncodeError:
        raise BadReaction(limit=REACTION_BYTES_MAX) from None
    if not 1 <= size <= REACTION_BYTES_MAX or not is_sign(sign):
        raise BadReaction(limit=REACTION_BYTES_MAX)
