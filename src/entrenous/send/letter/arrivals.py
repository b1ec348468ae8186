"""What each kind of letter does when it arrives: one table, one line for each kind.

Undecryptable letters are counted; letters that name an unknown device list are kept until it is
known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from entrenous.base.copies import Receipts
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import PersonId
from entrenous.base.identity import Contact, Head
from entrenous.base.limits import LATE_DAYS, LETTERS_WAITING_MAX
from entrenous.crypto.nouns import NotBound
from entrenous.device.device import Device
from entrenous.device.identities import who_am_i
from entrenous.device.vault_tables import (
    ASIDE,
    GREET,
    INBOX,
    LATE,
    NEWER,
    RECALLED,
    inbox_key,
    load_record,
    load_records,
    store_record,
)
from entrenous.send.clock_sanity import LONGEST_ON_ITS_WAY, believed_now, this_second
from entrenous.send.devices.ask_for_lists import note_named_list
from entrenous.send.devices.list_letters import (
    card_comes,
    greet_again,
    greet_back,
    is_sibling,
    sibling_greets,
    sibling_tells,
)
from entrenous.send.devices.old_mailbox import our_relays
from entrenous.send.devices.sync_send import mark_contact_for_resync
from entrenous.send.inbox import free_message_name, keep_name, store_message_state
from entrenous.send.letter.letter_nouns import (
    CardNote,
    CompareStep,
    Hello,
    LinkUsed,
    Manifest,
    NeedsUpdate,
    PersonHead,
    Reaction,
    RecallNote,
    SyncNote,
    WindowNote,
)
from entrenous.send.letter.read import Letter
from entrenous.send.letter.receipt_batches import take_receipts
from entrenous.send.letter.receipts_owed import note_delivered
from entrenous.send.message.react import take_reaction
from entrenous.send.message.states import InboxState, Received
from entrenous.send.people.block import is_blocked
from entrenous.send.people.compare_keys import take_step
from entrenous.send.people.contact_history import note_heard_from
from entrenous.send.people.invite import (
    be_greeted,
    come_too_late,
    link_with,
    note_joined,
    turn_away,
)
from entrenous.send.people.keep_contacts import contact_of
from entrenous.send.people.people_nouns import NotInvited
from entrenous.send.tokens.issue import note_token_used
from entrenous.send.tokens.use import take_window
from entrenous.wire.relay_nouns import Waiting

Handler = Callable[[Any, Letter, Waiting, Device], None]  # the first is the letter's body


def act_on(letter: Letter, waiting: Waiting, device: Device) -> None:
    """Store the effect of a letter; one of a kind that this program does not know is counted.

    Raises:
        NotInvited, OnThisMachine, OldList, ForkedList, NotBound: it has none.
    """
    if is_blocked(letter.person.id, device) and not isinstance(letter.body, RecallNote):
        return  # its ratchets move on, so that letters after an unblocking open
    note_heard_from(letter.person.id, letter.header.from_device, device)
    note_token_used(letter.person.id, letter.header.from_device, letter.header.token, device)
    named = Head(letter.header.from_epoch, letter.header.from_head)
    note_named_list(letter.person.id, named, device, own=True)
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
        mark_contact_for_resync(contact.person.id, device)
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
        note_named_list(one.person, Head(one.epoch, one.head), device, own=own)
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
    store_message_state(
        received, InboxState.TAKEN_BACK if taken_back else InboxState.WAITING, device
    )
    keep_name(received, device)


def _taken_back(note: RecallNote, letter: Letter, _waiting: Waiting, device: Device) -> None:
    apply_recall(note, letter.header.from_person, device)


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
_KEPT_S: Final = int(LONGEST_ON_ITS_WAY.total_seconds())


def apply_recall(note: RecallNote, sender: PersonId, device: Device) -> None:
    """Forget a message that its own sender took back; a note about anybody else's means nothing.

    One that has not come yet is remembered, so that it is forgotten when it does.
    """
    key = inbox_key(sender, note.message)
    received = load_record(Received, INBOX, key, device.vault)
    if received is not None:
        store_message_state(received, InboxState.TAKEN_BACK, device)
        return
    contact = contact_of(sender, device)
    if contact is not None and not contact.blocked:  # of others nothing comes
        _remember(key, sender, device)


def _remember(key: str, sender: PersonId, device: Device) -> None:
    """For as long as any relay keeps what may still come, and of one person not more than would
    wait for us there.
    """
    now, since = int(device.clock.now().timestamp()), int(believed_now(device).timestamp())
    kept = {
        one: device.vault.get(RECALLED, one) for one in device.vault.keys(RECALLED, sender.hex())
    }
    by_age = sorted(kept, key=lambda one: int(kept[one] or 0))
    old = [one for one in by_age if int(kept[one] or 0) < since - _KEPT_S]
    for one in old or by_age[: max(0, len(by_age) + 1 - LETTERS_WAITING_MAX)]:
        device.vault.drop(RECALLED, one)
    device.vault.put(RECALLED, key, str(now).encode())


_UNTOLD_MAX: Final = 1000  # whoever may write to us must not fill the vault with what is none


def count_undecryptable(envelope: str, device: Device) -> None:
    """Count a letter that could not be opened."""
    if len(list(device.vault.items(ASIDE))) < _UNTOLD_MAX:
        device.vault.put(ASIDE, envelope, b"")


def take_undecryptable(device: Device) -> int:
    """How many letters could not be opened since this was last asked."""
    return _emptied(ASIDE, device)


def put_newer(envelope: str, device: Device) -> None:
    """Count a letter that only a newer program knows what to do with."""
    if len(device.vault.keys(NEWER)) < _UNTOLD_MAX:
        device.vault.put(NEWER, envelope, b"")


def take_newer(device: Device) -> tuple[NeedsUpdate, ...]:
    """That this program should be updated, once, if something came that it does not know."""
    return (NeedsUpdate(),) if _emptied(NEWER, device) else ()


def _emptied(drawer: str, device: Device) -> int:
    with device.vault.together():
        untold = device.vault.keys(drawer)
        for key in untold:
            device.vault.drop(drawer, key)
    return len(untold)


_LATE_MAX: Final = 64  # of up to 160 KiB each
_OF_ONE_MAX: Final = 16  # by one person, or whoever says that they are


@dataclass(frozen=True, slots=True)
class LateLetter:
    """One of them, the list that it waits for, who says that they wrote it, and since when it is
    kept.
    """

    waiting: Waiting
    lacks: PersonHead
    by: bytes
    since: datetime


def keep_for_later(waiting: Waiting, why: EntrenousError, device: Device) -> bool:
    """Whether a letter that was not taken is kept, since the list that it names may come; call it
    in a transaction. Only of people whom we know.
    """
    lacks, by = why.facts.get("lacks"), why.facts.get("by")
    if not isinstance(lacks, PersonHead) or not isinstance(by, bytes):
        return False
    writer = contact_of(by, device)
    if writer is None or writer.blocked or lacks.epoch <= _known_epoch(lacks, device):
        return False
    kept = list(load_records(LateLetter, LATE, device.vault))
    if len(kept) >= _LATE_MAX or sum(late.by == by for late in kept) >= _OF_ONE_MAX:
        return False
    late = LateLetter(waiting, lacks, by, this_second(device))
    store_record(late, LATE, waiting.id.hex(), device.vault)
    return True


def take_late(device: Device) -> tuple[Waiting, ...]:
    """Those that can be opened now, in the order in which they came to a mailbox. What was kept for
    too long counts as what could not be opened.
    """
    now, due = believed_now(device), list[Waiting]()
    for late in load_records(LateLetter, LATE, device.vault):
        key = late.waiting.id.hex()
        if late.lacks.epoch <= _known_epoch(late.lacks, device):
            due.append(late.waiting)
        elif now - late.since > timedelta(days=LATE_DAYS):
            with device.vault.together():
                count_undecryptable(key, device)
                device.vault.drop(LATE, key)
    return tuple(sorted(due, key=lambda waiting: waiting.sequence))


def _known_epoch(lacks: PersonHead, device: Device) -> int:
    me = who_am_i(device)
    if lacks.person == me.person.id:
        return me.person.epoch
    contact = contact_of(lacks.person, device)
    return 0 if contact is None else contact.person.epoch
