"""The effect of each kind of letter on arrival; ``ARRIVAL_HANDLERS`` maps body types to handlers.

Letters that cannot be decrypted are counted. If a letter from a contact names a device list that is
not known here, the letter is stored for some days, until the list is known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from entrenous.base.copies import Receipts
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import PersonId
from entrenous.base.identity import Contact, DeviceListHead
from entrenous.base.limits import AWAITING_DEVICE_LIST_DAYS_MAX, LETTERS_WAITING_MAX
from entrenous.crypto.nouns import NotForThisMailbox
from entrenous.device.device import Device
from entrenous.device.identities import own_device
from entrenous.device.vault_tables import (
    EARLY_RECALL,
    INVITE_USE_TO_ANSWER,
    LETTER_AWAITING_DEVICE_LIST,
    LETTER_FROM_NEWER_PROGRAM,
    UNDECRYPTABLE_LETTER,
    Table,
    inbox_key,
)
from entrenous.send.clock_sanity import (
    MAX_TIME_IN_TRANSIT,
    now_in_whole_seconds,
    time_certainly_passed,
)
from entrenous.send.devices.ask_for_lists import record_named_list_if_unknown
from entrenous.send.devices.list_letters import (
    accept_bundle_letter,
    accept_own_device_hello,
    accept_sync_letter,
    is_from_own_device,
    queue_greeting_back,
    repeat_greeting_if_due,
)
from entrenous.send.devices.old_mailbox import our_relays
from entrenous.send.devices.sync_send import mark_contact_for_resync
from entrenous.send.inbox import free_message_name, index_message_name, store_message_state
from entrenous.send.letter.letter_nouns import (
    ComparisonStep,
    Hello,
    KeyBundleNote,
    Manifest,
    NeedsUpdate,
    PersonDeviceListHead,
    Reaction,
    RecallNote,
    SyncNote,
    TokenRangeNote,
    UsedUpLinkNote,
)
from entrenous.send.letter.read import Letter
from entrenous.send.letter.receipts import owe_delivery_receipt, verify_and_store_receipts
from entrenous.send.message.react import accept_reaction
from entrenous.send.message.states import INBOX_TABLE, InboxState, ReceivedMessage
from entrenous.send.people.block import is_blocked
from entrenous.send.people.compare_keys import process_comparison_step
from entrenous.send.people.contact_history import record_heard_from
from entrenous.send.people.invite import (
    accept_hello,
    forget_contact_of_used_up_link,
    invite_link_by_token_hash,
    record_person_joined,
    refuse_used_up_link,
)
from entrenous.send.people.keep_contacts import contact_by_id
from entrenous.send.people.people_nouns import NotInvited
from entrenous.send.tokens.issue import note_token_used
from entrenous.send.tokens.use import receive_range
from entrenous.wire.relay_nouns import WaitingEnvelope

# the first argument is the body of the letter
ArrivalHandler = Callable[[Any, Letter, WaitingEnvelope, Device], None]


def apply_letter(letter: Letter, waiting: WaitingEnvelope, device: Device) -> None:
    """Apply a letter's effect; a letter of an unknown kind is counted.

    Raises:
        NotInvited, AddressOnThisMachine, OutdatedDeviceList, ForkedDeviceList, NotForThisMailbox:
            the letter has no effect.
    """
    if is_blocked(letter.person.id, device) and not isinstance(letter.body, RecallNote):
        # the state of the session still advances, so that letters after an unblocking can be opened
        return
    record_heard_from(letter.person.id, letter.header.from_device, device)
    note_token_used(letter.person.id, letter.header.from_device, letter.header.token, device)
    named = DeviceListHead(letter.header.from_epoch, letter.header.from_head)
    record_named_list_if_unknown(letter.person.id, named, device, own=True)
    if not is_from_own_device(letter.header, device):
        repeat_greeting_if_due(letter.header, device, greets=isinstance(letter.body, Hello))
    handler = ARRIVAL_HANDLERS.get(type(letter.body))
    if handler is None:
        record_letter_of_unknown_kind(waiting.id.hex(), device)
    else:
        handler(letter.body, letter, waiting, device)


def sender_of(letter: Letter, device: Device) -> Contact:
    """Return the contact who sent this letter.

    Raises:
        NotForThisMailbox: no contact has these keys.
    """
    contact = contact_by_id(letter.person.id, device)
    if contact is None:
        raise NotForThisMailbox(what="it is from nobody you know")
    return contact


def _on_hello(hello: Hello, letter: Letter, _waiting: WaitingEnvelope, device: Device) -> None:
    if is_from_own_device(letter.header, device):
        accept_own_device_hello(hello, letter.header, device)
        return
    invite = (
        None if hello.invite_lock is None else invite_link_by_token_hash(hello.invite_lock, device)
    )
    is_new = contact_by_id(letter.person.id, device) is None
    if is_new and invite is None:
        raise NotInvited
    if is_new and invite is not None and invite.is_used_up:
        refuse_used_up_link(invite, hello, letter.person, letter.header, device)
        return
    contact = accept_hello(hello, letter.person, invite, device)
    receive_range(letter.header, hello.seed, hello.first, device)
    if is_new and invite is not None:
        record_person_joined(invite, contact, letter.header.from_device, device)
    if invite is not None:
        mark_contact_for_resync(contact.person.id, device)
        device.vault.put(INVITE_USE_TO_ANSWER, contact.person.id.hex(), b"")
    else:
        queue_greeting_back(letter.header, device)


def _on_message(
    manifest: Manifest, letter: Letter, waiting: WaitingEnvelope, device: Device
) -> None:
    if manifest.relay_url not in our_relays(device):
        # The server at that address would learn our network address, and when we open the message.
        raise NotForThisMailbox(what="its files are not at your relay")
    message = letter.header.message
    for one in manifest.heads:
        own = one.person == letter.person.id
        record_named_list_if_unknown(
            one.person, DeviceListHead(one.epoch, one.head), device, own=own
        )
    sender, now = sender_of(letter, device), now_in_whole_seconds(device)
    last = now + MAX_TIME_IN_TRANSIT  # even if a modified program states a later time
    received = ReceivedMessage(
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
    owe_delivery_receipt(letter.header, received, device)
    taken_back = device.vault.get(EARLY_RECALL, key) is not None
    store_message_state(
        received, InboxState.TAKEN_BACK if taken_back else InboxState.WAITING, device
    )
    index_message_name(received, device)


def _on_more_tokens(
    note: TokenRangeNote, letter: Letter, _waiting: WaitingEnvelope, device: Device
) -> None:
    sender_of(letter, device)
    receive_range(letter.header, note.seed, note.first, device)


#: The function that applies each kind of body.
ARRIVAL_HANDLERS: Final[Mapping[type[Any], ArrivalHandler]] = {
    Hello: _on_hello,
    Manifest: _on_message,
    RecallNote: lambda note, letter, _, device: apply_recall(note, letter.person.id, device),
    ComparisonStep: lambda step, letter, _, device: process_comparison_step(
        step, letter.header, sender_of(letter, device), device
    ),
    TokenRangeNote: _on_more_tokens,
    Receipts: lambda several, letter, _, device: verify_and_store_receipts(
        several, letter.header, sender_of(letter, device), device
    ),
    Reaction: lambda reaction, letter, _, device: accept_reaction(
        reaction, sender_of(letter, device).person.id, device
    ),
    KeyBundleNote: lambda note, letter, _, device: accept_bundle_letter(
        note, letter.header, sender_of(letter, device), device
    ),
    SyncNote: lambda note, letter, _, device: accept_sync_letter(note, letter.header, device),
    UsedUpLinkNote: lambda note, letter, _, device: forget_contact_of_used_up_link(
        note, sender_of(letter, device), device
    ),
}
_EARLY_RECALL_KEPT_S: Final = int(MAX_TIME_IN_TRANSIT.total_seconds())


def apply_recall(note: RecallNote, sender: PersonId, device: Device) -> None:
    """Delete a message that its own sender recalled; a recall of another person's message has no
    effect.

    If a recall arrives before its message, the recall is stored, and the message is deleted when it
    arrives.
    """
    key = inbox_key(sender, note.message)
    received = INBOX_TABLE.load(key, device.vault)
    if received is not None:
        store_message_state(received, InboxState.TAKEN_BACK, device)
        return
    contact = contact_by_id(sender, device)
    if contact is not None and not contact.blocked:  # messages from anybody else are not accepted
        _remember_recall(key, sender, device)


def _remember_recall(key: str, sender: PersonId, device: Device) -> None:
    """Remember a recall for as long as a relay may keep the message.

    The number of recalls remembered per person is limited to the number of letters that may wait
    in a mailbox.
    """
    now, trusted_now = (
        int(device.clock.now().timestamp()),
        int(time_certainly_passed(device).timestamp()),
    )
    kept = {
        one: device.vault.get(EARLY_RECALL, one)
        for one in device.vault.keys(EARLY_RECALL, sender.hex())
    }
    by_age = sorted(kept, key=lambda one: int(kept[one] or 0))
    expired = [one for one in by_age if int(kept[one] or 0) < trusted_now - _EARLY_RECALL_KEPT_S]
    for one in expired or by_age[: max(0, len(by_age) + 1 - LETTERS_WAITING_MAX)]:
        device.vault.drop(EARLY_RECALL, one)
    device.vault.put(EARLY_RECALL, key, str(now).encode())


_COUNTED_LETTERS_MAX: Final = (
    1000  # so that a correspondent can store only a limited amount in the vault
)


def record_undecryptable_letter(envelope: str, device: Device) -> None:
    if len(list(device.vault.items(UNDECRYPTABLE_LETTER))) < _COUNTED_LETTERS_MAX:
        device.vault.put(UNDECRYPTABLE_LETTER, envelope, b"")


def take_undecryptable_count(device: Device) -> int:
    """Return and reset the number of letters that could not be decrypted."""
    return _count_and_clear(UNDECRYPTABLE_LETTER, device)


def record_letter_of_unknown_kind(envelope: str, device: Device) -> None:
    """Count a letter of a kind that only a newer program knows."""
    if len(device.vault.keys(LETTER_FROM_NEWER_PROGRAM)) < _COUNTED_LETTERS_MAX:
        device.vault.put(LETTER_FROM_NEWER_PROGRAM, envelope, b"")


def take_update_notice(device: Device) -> tuple[NeedsUpdate, ...]:
    """Return a request to update if letters of an unknown kind arrived, and reset their number."""
    return (NeedsUpdate(),) if _count_and_clear(LETTER_FROM_NEWER_PROGRAM, device) else ()


def _count_and_clear(table: str, device: Device) -> int:
    with device.vault.transaction():
        counted = device.vault.keys(table)
        for key in counted:
            device.vault.drop(table, key)
    return len(counted)


_KEPT_LETTERS_MAX: Final = 64  # up to 160 KiB each
_KEPT_LETTERS_PER_SENDER_MAX: Final = 16  # letters kept with the same claimed sender


@dataclass(frozen=True, slots=True)
class LetterAwaitingDeviceList:
    """A letter that is kept until the device list that it names is known.

    ``lacks`` identifies the list, and ``by`` is the letter's claimed sender.
    """

    waiting: WaitingEnvelope
    lacks: PersonDeviceListHead
    by: bytes
    since: datetime


LETTER_AWAITING_DEVICE_LIST_TABLE: Final = Table(
    LETTER_AWAITING_DEVICE_LIST, LetterAwaitingDeviceList
)


def keep_letter_awaiting_device_list(
    waiting: WaitingEnvelope, why: EntrenousError, device: Device
) -> bool:
    """Keep a rejected letter if the list that it names may still arrive; return whether it is kept.
    Only letters from contacts are kept. Call it in a transaction.
    """
    lacks, by = why.facts.get("lacks"), why.facts.get("by")
    if not isinstance(lacks, PersonDeviceListHead) or not isinstance(by, bytes):
        return False
    writer = contact_by_id(by, device)
    if writer is None or writer.blocked or lacks.epoch <= _known_list_epoch(lacks, device):
        return False
    kept = list(LETTER_AWAITING_DEVICE_LIST_TABLE.all(device.vault))
    if (
        len(kept) >= _KEPT_LETTERS_MAX
        or sum(waiting_letters.by == by for waiting_letters in kept) >= _KEPT_LETTERS_PER_SENDER_MAX
    ):
        return False
    waiting_letters = LetterAwaitingDeviceList(waiting, lacks, by, now_in_whole_seconds(device))
    LETTER_AWAITING_DEVICE_LIST_TABLE.store(waiting_letters, waiting.id.hex(), device.vault)
    return True


def openable_kept_letters(device: Device) -> tuple[WaitingEnvelope, ...]:
    """Return the stored letters that can be opened now, in order of arrival at their mailbox.

    Letters stored for too long are counted as undecryptable.
    """
    now, due = time_certainly_passed(device), list[WaitingEnvelope]()
    for letters in LETTER_AWAITING_DEVICE_LIST_TABLE.all(device.vault):
        key = letters.waiting.id.hex()
        if letters.lacks.epoch <= _known_list_epoch(letters.lacks, device):
            due.append(letters.waiting)
        elif now - letters.since > timedelta(days=AWAITING_DEVICE_LIST_DAYS_MAX):
            with device.vault.transaction():
                record_undecryptable_letter(key, device)
                LETTER_AWAITING_DEVICE_LIST_TABLE.drop(key, device.vault)
    return tuple(sorted(due, key=lambda waiting: waiting.sequence))


def _known_list_epoch(lacks: PersonDeviceListHead, device: Device) -> int:
    me = own_device(device)
    if lacks.person == me.person.id:
        return me.person.epoch
    contact = contact_by_id(lacks.person, device)
    return 0 if contact is None else contact.person.epoch
