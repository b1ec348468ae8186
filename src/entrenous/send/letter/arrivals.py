"""What each kind of letter does when it arrives: one table, one line for each kind.

A handler runs in the transaction that moves the ratchets on (send/fetch.py): what it raises undoes
both.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from entrenous.model.device_list import Head
from entrenous.model.envelope import Waiting
from entrenous.model.letter import Manifest, NotBound
from entrenous.model.notes import (
    CardNote,
    CompareStep,
    Hello,
    LinkUsed,
    RecallNote,
    SyncNote,
    WindowNote,
)
from entrenous.model.person import Contact, NotInvited
from entrenous.model.reaction import Reaction
from entrenous.model.receipt import Receipts
from entrenous.model.received import InboxState, Received
from entrenous.ports import Device
from entrenous.send.acquaintance.block import is_blocked
from entrenous.send.acquaintance.invite import be_greeted
from entrenous.send.acquaintance.links import come_too_late, link_with, note_joined, turn_away
from entrenous.send.acquaintance.people import contact_of
from entrenous.send.devices.lists.named import hear_of
from entrenous.send.devices.lists.sibling_letters import (
    card_comes,
    greet_again,
    greet_back,
    is_sibling,
    sibling_greets,
    sibling_tells,
)
from entrenous.send.devices.sync.tell import tell_anew
from entrenous.send.doubts.heard import hear
from entrenous.send.drawers import GREET, RECALLED, inbox_key
from entrenous.send.inbox import settle
from entrenous.send.letter.aside import put_newer
from entrenous.send.letter.obey import obey
from entrenous.send.letter.read import Letter
from entrenous.send.message.naming import free_message_name, keep_name
from entrenous.send.message.react import take_reaction
from entrenous.send.moment import LONGEST_ON_ITS_WAY, this_second
from entrenous.send.move.old_home import our_relays
from entrenous.send.receipts.note import note_delivered
from entrenous.send.receipts.take import take_receipts
from entrenous.send.tokens.use import take_window
from entrenous.send.tokens.windows import note_use
from entrenous.send.verify.steps import take_step

Handler = Callable[[Any, Letter, Waiting, Device], None]  # the first is the letter's body


def act_on(letter: Letter, waiting: Waiting, device: Device) -> None:
    """Store the effect of a letter; one of a kind that this program does not know is counted.

    Raises:
        NotInvited, OnThisMachine, OldList, ForkedList, NotBound: it has none.
    """
    if is_blocked(letter.person.id, device) and not isinstance(letter.body, RecallNote):
        return  # its ratchets move on, so that letters after an unblocking open
    hear(letter.person.id, letter.header.from_device, device)
    note_use(letter.person.id, letter.header.from_device, letter.header.token, device)
    named = Head(letter.header.from_epoch, letter.header.from_head)
    hear_of(letter.person.id, named, device, own=True)
    if not is_sibling(letter.header, device):
        greet_again(letter.header, device, greets=isinstance(letter.body, Hello))
    handler = ARRIVALS.get(type(letter.body))
    if handler is None:
        put_newer(waiting.id.hex(), device)
    else:
        handler(letter.body, letter, waiting, device)


def sender_of(letter: Letter, device: Device) -> Contact:
    """The contact who sent this letter.

    Raises:
        NotBound: we know nobody with these keys.
    """
    contact = contact_of(letter.person.id, device)
    if contact is None:
        raise NotBound(what="it is from nobody we know")
    return contact


def _greeted(hello: Hello, letter: Letter, _waiting: Waiting, device: Device) -> None:
    if is_sibling(letter.header, device):
        sibling_greets(hello, letter.header, device)
        return
    made = None if hello.invite_lock is None else link_with(hello.invite_lock, device)
    is_new = contact_of(letter.person.id, device) is None
    if is_new and made is None:
        raise NotInvited
    if is_new and made is not None and made.is_used_up:
        turn_away(made, hello, letter.person, letter.header, device)
        return
    contact = be_greeted(hello, letter.person, made, device)
    take_window(letter.header, hello.seed, hello.first, device)
    if is_new and made is not None:
        note_joined(made, contact, letter.header.from_device, device)
    if made is not None:
        tell_anew(contact.person.id, device)
        device.vault.put(GREET, contact.person.id.hex(), b"")
    else:
        greet_back(letter.header, device)


def _received(manifest: Manifest, letter: Letter, waiting: Waiting, device: Device) -> None:
    if manifest.relay_url not in our_relays(device):
        # Whose server it names would learn where we are, and when we look.
        raise NotBound(what="its files do not lie at our relay")
    message = letter.header.message
    for one in manifest.heads:
        own = one.person == letter.person.id
        hear_of(one.person, Head(one.epoch, one.head), device, own=own)
    sender, now = sender_of(letter, device), this_second(device)
    last = now + LONGEST_ON_ITS_WAY  # whatever a changed program says
    received = Received(
        id=message,
        name=free_message_name(manifest.name, device),
        sender=sender.person.id,
        sender_name=sender.name,
        sent_at=min(manifest.sent_at, now),
        envelope=waiting.id,
        relay_url=manifest.relay_url,
        expires_at=min(manifest.expires_at or last, last),
        opens=manifest.opens,
        state=InboxState.WAITING,
        manifest=manifest,
        reply=manifest.reply,
        circle=manifest.circle,
        sequence=waiting.sequence,
    )
    key = inbox_key(sender.person.id, message)
    note_delivered(letter.header, received, device)
    taken_back = device.vault.get(RECALLED, key) is not None
    settle(received, InboxState.TAKEN_BACK if taken_back else InboxState.WAITING, device)
    keep_name(received, device)


def _taken_back(note: RecallNote, letter: Letter, _waiting: Waiting, device: Device) -> None:
    obey(note, letter.header.from_person, device)


def _compared(step: CompareStep, letter: Letter, _waiting: Waiting, device: Device) -> None:
    take_step(step, letter.header, sender_of(letter, device), device)


def _widened(note: WindowNote, letter: Letter, _waiting: Waiting, device: Device) -> None:
    sender_of(letter, device)
    take_window(letter.header, note.seed, note.first, device)


def _receipted(several: Receipts, letter: Letter, _waiting: Waiting, device: Device) -> None:
    take_receipts(several, letter.header, sender_of(letter, device), device)


def _reacted(reaction: Reaction, letter: Letter, _waiting: Waiting, device: Device) -> None:
    take_reaction(reaction, sender_of(letter, device).person.id, device)


def _list_changed(note: CardNote, letter: Letter, _waiting: Waiting, device: Device) -> None:
    card_comes(note, letter.header, sender_of(letter, device), device)


def _came_too_late(note: LinkUsed, letter: Letter, _waiting: Waiting, device: Device) -> None:
    come_too_late(note, sender_of(letter, device), device)


def _told(note: SyncNote, letter: Letter, _waiting: Waiting, device: Device) -> None:
    sibling_tells(note, letter.header, device)


ARRIVALS: Final[Mapping[type[Any], Handler]] = {
    Hello: _greeted,
    Manifest: _received,
    RecallNote: _taken_back,
    CompareStep: _compared,
    WindowNote: _widened,
    Receipts: _receipted,
    Reaction: _reacted,
    CardNote: _list_changed,
    SyncNote: _told,
    LinkUsed: _came_too_late,
}
