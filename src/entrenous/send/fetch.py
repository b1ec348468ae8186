"""Fetch letters from the relay (docs/spec/letter.md, section 7)."""

from dataclasses import dataclass
from typing import Final

from entrenous.base.errors import EntrenousError, Malformed, NotFound, Refused, Unproven
from entrenous.base.identity import DeviceListHead, ForkedDeviceList
from entrenous.device.device import Device
from entrenous.device.identities import (
    AddressOnThisMachine,
    MailboxAddress,
    own_device,
    refuse_unconfirmed_unlock,
)
from entrenous.device.lock_errors import DeviceWithoutRelay
from entrenous.device.vault_tables import SEEN_LETTER
from entrenous.send.clock_sanity import record_clock
from entrenous.send.devices.ask_for_lists import fetch_named_lists, record_named_list_if_unknown
from entrenous.send.devices.device_lists import freeze_contact
from entrenous.send.devices.next_mailbox import prepare_to_follow_moves
from entrenous.send.devices.old_mailbox import (
    handle_failed_old_mailbox_fetch,
    old_mailboxes_due_for_fetch,
    retire_old_mailbox,
)
from entrenous.send.devices.sync_records import record_change_times
from entrenous.send.devices.sync_send import queue_sync_letters
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import expire_messages
from entrenous.send.letter.arrivals import (
    LETTER_AWAITING_DEVICE_LIST_TABLE,
    apply_letter,
    keep_letter_awaiting_device_list,
    openable_kept_letters,
    record_undecryptable_letter,
    take_update_notice,
)
from entrenous.send.letter.letter_nouns import PersonDeviceListHead
from entrenous.send.letter.prekeys import top_up_and_rotate_prekeys
from entrenous.send.letter.read import read_letter
from entrenous.send.letter.receipts import queue_due_receipts
from entrenous.send.letter.relay_tasks import repeat_requests_after_restore
from entrenous.send.open import report_finished_openings
from entrenous.send.people.invite import greet_invited_people
from entrenous.send.people.people_nouns import NotInvited
from entrenous.send.recall import retry_recalls
from entrenous.send.set_up import finish_set_up
from entrenous.send.tokens.distribute import greet_devices, maintain_issued_ranges
from entrenous.wire.relay_nouns import RolledBack, WaitingEnvelope

# Refusals whose cause is this device, not the letter. The letter stays at the relay, as it does
# after an error of the disk or of the relay.
_ERRORS_THAT_KEEP_THE_LETTER: Final = (RolledBack, DeviceWithoutRelay)


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The result of a fetch: how many letters arrived, and the problems to show, for example why
    outgoing letters could not be sent.
    """

    letters_received: int
    problems: tuple[EntrenousError, ...]


def fetch_messages(device: Device) -> FetchResult:
    """Fetch and process letters, and post the outbox once, even if our own relay does not answer.

    If another person's relay refuses or does not answer, that is reported as a problem and stops
    nothing.

    Raises:
        DeviceWithoutRelay; RelayUnreachable or a refusal from our own relay.
        RolledBack, UnlockNotConfirmed: this device's ratchets must not advance: a copy of the
        device is in use, or the relay has not confirmed the unlock.
    """
    me = own_device(device)
    refuse_unconfirmed_unlock(device)
    record_clock(device)
    expire_messages(device)  # also if no relay answers, and if nobody ever lists the messages
    problems = list[EntrenousError]()
    try:
        # Before anything that needs our own relay: meanwhile somebody may open what was taken back.
        retry_recalls(device)
        finish_set_up(device)
        queue_sync_letters(device)
        count = _fetch_and_queue_answers(me.home, problems, device)
        top_up_and_rotate_prekeys(
            device
        )  # our own housekeeping, before letters leave (relay.md section 14)
    except EntrenousError:
        flush_outbox(device)
        raise
    finally:
        record_change_times(
            device
        )  # changes made by letters, even if the relay stops answering halfway
    return FetchResult(
        count, (*flush_outbox(device).problems, *take_update_notice(device), *problems)
    )


def _fetch_and_queue_answers(
    home: MailboxAddress, problems: list[EntrenousError], device: Device
) -> int:
    """Fetch letters from all our mailboxes, and queue the answers to them; return the number of
    letters.
    """
    count = _fetch_mailbox(home, device) + _fetch_former_mailboxes(problems, device)
    report_finished_openings(device)
    greet_invited_people(device)
    fetch_named_lists(device)
    for waiting in openable_kept_letters(device):
        _process_letter(waiting, device)
    greet_devices(device)
    problems.extend(prepare_to_follow_moves(device))
    queue_sync_letters(device)
    repeat_requests_after_restore(device)
    maintain_issued_ranges(device)
    queue_due_receipts(device)
    return count


def _fetch_former_mailboxes(problems: list[EntrenousError], device: Device) -> int:
    """Fetch from our former mailboxes; their relays may be gone or dishonest."""
    count = 0
    for old in old_mailboxes_due_for_fetch(device):
        try:
            count += _fetch_mailbox(old.home, device)
            retire_old_mailbox(old, device)
        except EntrenousError as error:
            why = handle_failed_old_mailbox_fetch(old, error, device)
            problems.extend([] if why is None else [why])
    return count


def _fetch_mailbox(home: MailboxAddress, device: Device) -> int:
    count, after = 0, 0
    while page := device.courier.waiting_envelopes(home.relay_url, home.mailbox, home.owner, after):
        before = after
        for waiting in page:
            count += _process_if_new(waiting, device)
            device.courier.acknowledge(home.relay_url, home.mailbox, home.owner, waiting.id)
            after = max(after, waiting.sequence)
        if after == before:
            break  # the relay repeats the same page
    return count


def _process_if_new(waiting: WaitingEnvelope, device: Device) -> int:
    if device.vault.get(SEEN_LETTER, waiting.id.hex()) is not None:
        return 0
    _process_letter(waiting, device)
    return 1


def _process_letter(waiting: WaitingEnvelope, device: Device) -> None:
    key = waiting.id.hex()
    try:
        with device.vault.transaction():
            apply_letter(read_letter(waiting, own_device(device), device), waiting, device)
            _mark_letter_as_seen(key, device)
    except _ERRORS_THAT_KEEP_THE_LETTER:
        raise
    except (NotInvited, AddressOnThisMachine):
        with device.vault.transaction():
            _mark_letter_as_seen(key, device)
    except (Malformed, Unproven, Refused, NotFound) as why:
        # A bad letter must not block the letters after it, and must not be fetched again and again.
        with device.vault.transaction():
            _mark_letter_as_seen(key, device)
            if not keep_letter_awaiting_device_list(waiting, why, device):
                record_undecryptable_letter(key, device)
            _record_unknown_or_forked_list(why, device)


def _mark_letter_as_seen(key: str, device: Device) -> None:
    device.vault.put(SEEN_LETTER, key, b"")
    LETTER_AWAITING_DEVICE_LIST_TABLE.drop(key, device.vault)


def _record_unknown_or_forked_list(why: EntrenousError, device: Device) -> None:
    """Record the device lists that a rejected letter names."""
    missing = why.facts.get("lacks")
    if isinstance(why, ForkedDeviceList):
        freeze_contact(why, device)
    elif isinstance(missing, PersonDeviceListHead):
        # A letter that was rejected for a missing list has an authenticated author only if it is a
        # contact's, and the list is ours. If the missing list is the author's own (the author is a
        # contact, or another device of ours), that list is needed to authenticate the author.
        us = own_device(device).person.id
        named_by_contact = missing.person == us and why.facts.get("by") != us
        record_named_list_if_unknown(
            missing.person,
            DeviceListHead(missing.epoch, missing.head),
            device,
            own=False,
            authenticated=named_by_contact,
        )
