"""React to a message with an emoji, and store other people's reactions (docs/spec/letter.md,
section 6).
"""

from dataclasses import dataclass

from entrenous.base.identifiers import MessageId, PersonId
from entrenous.base.limits import REACTION_BYTES_MAX
from entrenous.device.device import Device
from entrenous.device.identities import own_device, refuse_unconfirmed_unlock
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE
from entrenous.device.vault_tables import (
    inbox_key,
)
from entrenous.send.conversations import contact_names_among, participants_of_message
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import reference_to_message
from entrenous.send.letter.letter_nouns import (
    REACTION_TABLE,
    BadReaction,
    MessageReference,
    NobodyToReactTo,
    Reaction,
    StoredReaction,
    is_valid_reaction,
)
from entrenous.send.letter.sessions import ensure_sessions
from entrenous.send.letter.write import (
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.message.states import INBOX_TABLE
from entrenous.send.people.keep_contacts import (
    contacts_named,
    protocol_mismatch_error,
    require_common_protocol,
)


@dataclass(frozen=True, slots=True)
class ReactionResult:
    """The people who get a reaction, and those to whom it could not be sent yet."""

    to: tuple[str, ...]
    waits: tuple[str, ...]


def react(name: str, emoji: str | None, device: Device) -> ReactionResult:
    """Send a reaction to a message, or withdraw it (``emoji`` None).

    Each contact who sent or received the message gets a letter, except people who are blocked,
    whose device lists contradict each other, or with whom we share no protocol version.

    Raises:
        UnknownMessage, BadReaction, NobodyToReactTo, OwnProgramTooOld, ContactProgramTooOld,
            DeviceWithoutRelay, RolledBack, UnlockNotConfirmed.
        RelayUnreachable: a session with somebody could not be started.
    """
    refuse_unconfirmed_unlock(device)
    _require_valid_reaction(emoji)
    meant = reference_to_message(name, device)
    reaction = Reaction(meant.sender, meant.message, emoji)
    known = contacts_named(
        contact_names_among(participants_of_message(name, device), device), device
    )
    readers = [one for one in known if not one.forked]
    people = [one for one in readers if protocol_mismatch_error(one, device) is None]
    if not people:
        require_common_protocol(readers, device)
        raise NobodyToReactTo(name=name)
    to = ensure_sessions([one for person in people for one in addressees(person, device)], device)
    outers = [outer_parts_without_content(device) for _ in to]
    with device.vault.transaction():
        store_reaction(reaction, own_device(device).person.id, device)
        for one, outer in zip(to, outers, strict=True):
            seal_and_queue_letter(reaction, one, outer, device)
    stayed = flush_outbox(device).stayed
    waits = (
        one.contact.name for one, outer in zip(to, outers, strict=True) if outer.envelope in stayed
    )
    return ReactionResult(tuple(person.name for person in people), tuple(dict.fromkeys(waits)))


def accept_reaction(reaction: Reaction, by: PersonId, device: Device) -> None:
    """Store a received reaction, if both its author and we have the message. Call it in the
    transaction that moves the ratchet.
    """
    if reaction.text is not None and not is_valid_reaction(reaction.text):
        # Only a modified program sends an invalid reaction. Line breaks in it could fake further
        # lines in a list.
        return
    if by in _people_with_message(MessageReference(reaction.sender, reaction.message), device):
        store_reaction(reaction, by, device)


def store_reaction(reaction: Reaction, by: PersonId, device: Device) -> None:
    """Store a person's latest reaction to a message."""
    key = f"{inbox_key(reaction.sender, reaction.message)} {by.hex()}"
    if reaction.text is None:
        REACTION_TABLE.drop(key, device.vault)
    else:
        REACTION_TABLE.store(StoredReaction(reaction, by, device.clock.now()), key, device.vault)


def reactions_to(
    sender: PersonId, message: MessageId, device: Device
) -> tuple[StoredReaction, ...]:
    """Return the reactions to a message, oldest first."""
    keys = REACTION_TABLE.keys(device.vault, inbox_key(sender, message))
    found = (REACTION_TABLE.load(key, device.vault) for key in keys)
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.at))


def _people_with_message(meant: MessageReference, device: Device) -> set[PersonId]:
    """Return the people known as sender or recipients of a message; empty if this device does not
    have the message.
    """
    if meant.sender == own_device(device).person.id:
        sent = COPY_DELIVERY_TABLE.all(device.vault)
        return {copy.person for copy in sent if copy.message == meant.message}
    key = inbox_key(meant.sender, meant.message)
    received = INBOX_TABLE.load(key, device.vault)
    if received is None:
        return set()
    audience = () if received.manifest is None else received.manifest.audience
    return {received.sender, *(person for person, _ in audience)}


def _require_valid_reaction(emoji: str | None) -> None:
    if emoji is None:
        return
    try:
        size = len(emoji.encode())
    except UnicodeEncodeError:
        raise BadReaction(limit=REACTION_BYTES_MAX) from None
    if not 1 <= size <= REACTION_BYTES_MAX or not is_valid_reaction(emoji):
        raise BadReaction(limit=REACTION_BYTES_MAX)
