"""Fetch device lists that letters name and this device lacks, each at most three times a day."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.base.errors import EntrenousError, Malformed, Refused, Unproven, Unreachable
from entrenous.base.identifiers import PersonId
from entrenous.base.identity import (
    Contact,
    DeviceListHead,
    ForkedDeviceList,
    OutdatedDeviceList,
    WithheldDeviceList,
)
from entrenous.base.limits import DEVICE_LIST_REQUESTS_PER_DAY_MAX
from entrenous.crypto.statements import check_named_head, device_list_heads
from entrenous.device.device import Device
from entrenous.device.identities import known_list_heads, own_device
from entrenous.device.lock_errors import DeviceWithoutRelay
from entrenous.send.clock_sanity import is_recent, now_in_whole_seconds
from entrenous.send.devices.device_lists import (
    accept_contact_bundle,
    accept_own_bundle,
    freeze_contact,
)
from entrenous.send.devices.own_key_bundle import open_key_bundle
from entrenous.send.people.contact_history import record_device_list_contradiction
from entrenous.send.people.keep_contacts import contact_by_id
from entrenous.send.people.people_nouns import (
    DEVICE_LIST_TO_FETCH_TABLE,
    DeviceListContradiction,
    DeviceListToFetch,
)
from entrenous.send.tokens.use import has_tokens_for, next_token_for, token_route_to
from entrenous.wire.key_bundle import read_key_bundle
from entrenous.wire.relay_nouns import RolledBack

_LIST_FETCH_RETRY_INTERVAL: Final = timedelta(hours=24) / DEVICE_LIST_REQUESTS_PER_DAY_MAX
_ERRORS_OF_THIS_DEVICE: Final = (RolledBack, DeviceWithoutRelay)


def record_named_list_if_unknown(
    person: PersonId,
    named: DeviceListHead,
    device: Device,
    *,
    own: bool,
    authenticated: bool = True,
) -> None:
    """Record the head (the hash) of a device list that a letter names, in the letter's transaction.

    ``own`` says whether one of that person's own devices named it. If the head is newer than the
    known one, or contradicts it, the list is asked for later. Other people may err or lie about a
    person's list, so heads named by the person's own devices take precedence. If the letter's
    author is not authenticated (``authenticated`` is False), a missing list is not reported.
    """
    contact = contact_by_id(person, device)
    if contact is None:
        return
    try:
        check_named_head(named, known_list_heads(contact, device))
    except (ForkedDeviceList, WithheldDeviceList):
        waiting = DEVICE_LIST_TO_FETCH_TABLE.load(person.hex(), device.vault)
        received = DeviceListToFetch(named, own=own, proven=authenticated)
        if waiting is None or waiting.fetch_priority < received.fetch_priority:
            DEVICE_LIST_TO_FETCH_TABLE.store(received, person.hex(), device.vault)


def fetch_named_lists(device: Device) -> None:
    """Fetch the lists that were named; lists whose relay does not answer are tried again next time.

    A blocked person's relay is not queried, since that would reveal when and from where this device
    is used. The heads that were named stay recorded until the person is unblocked.
    """
    for key in DEVICE_LIST_TO_FETCH_TABLE.keys(device.vault):
        waiting = DEVICE_LIST_TO_FETCH_TABLE.load(key, device.vault)
        contact = contact_by_id(PersonId(bytes.fromhex(key)), device)
        if waiting is None or contact is None or _is_head_known(waiting.head, contact, device):
            DEVICE_LIST_TO_FETCH_TABLE.drop(key, device.vault)
        elif not contact.blocked and _is_retry_due(waiting, device):
            with suppress(Unreachable):
                _fetch_named_list(waiting, contact, device)


def _is_retry_due(waiting: DeviceListToFetch, device: Device) -> bool:
    return waiting.asked_at is None or not is_recent(
        waiting.asked_at, _LIST_FETCH_RETRY_INTERVAL, device
    )


def _is_head_known(named: DeviceListHead, contact: Contact, device: Device) -> bool:
    """Return whether a named head is known, or older than the oldest known one."""
    try:
        check_named_head(named, known_list_heads(contact, device))
    except (ForkedDeviceList, WithheldDeviceList):
        return False
    return True


def _fetch_named_list(waiting: DeviceListToFetch, contact: Contact, device: Device) -> None:
    shown = _fetch_bundle(contact, device)
    try:
        with device.vault.transaction():
            _compare_with_named_head(
                waiting, _accept_bundle_and_return_heads(contact, shown, device), contact, device
            )
    except ForkedDeviceList as fork:
        _handle_fork(fork, waiting, contact, device)
    except _ERRORS_OF_THIS_DEVICE:
        raise
    except (Malformed, Unproven, Refused):
        # A bad key bundle must not stop the rest of this fetch, nor later fetches.
        _count_failed_fetch(waiting, contact, device)


def _accept_bundle_and_return_heads(
    contact: Contact, shown: bytes | None, device: Device
) -> tuple[DeviceListHead, ...]:
    """Accept a newer key bundle. Return all device list heads that were known or that the bundle
    has, oldest first.

    Raises:
        BadKeyBundle, BadSignature, AddressOnThisMachine.
        ForkedDeviceList: the bundle contradicts a list that we know.
    """
    heads = {head.epoch: head for head in known_list_heads(contact, device)}
    if shown is not None:
        card = read_key_bundle(shown)
        with suppress(OutdatedDeviceList):
            if contact.person.id == own_device(device).person.id:
                accept_own_bundle(card, device)
            else:
                accept_contact_bundle(contact, shown, device)
            heads |= {head.epoch: head for head in device_list_heads(card.lists)}
    return tuple(heads[epoch] for epoch in sorted(heads))


def _compare_with_named_head(
    waiting: DeviceListToFetch, heads: Sequence[DeviceListHead], contact: Contact, device: Device
) -> None:
    try:
        check_named_head(waiting.head, heads)
    except ForkedDeviceList as fork:
        _handle_fork(fork, waiting, contact, device)
    except WithheldDeviceList:
        _count_failed_fetch(waiting, contact, device)
    else:
        DEVICE_LIST_TO_FETCH_TABLE.drop(contact.person.id.hex(), device.vault)


def _handle_fork(
    fork: ForkedDeviceList, waiting: DeviceListToFetch, contact: Contact, device: Device
) -> None:
    """Stop sending to the contact if the contact signed both contradictory lists. If a letter only
    named the other list, report the contradiction once.
    """
    with device.vault.transaction():
        if fork.facts:
            freeze_contact(fork, device)
            DEVICE_LIST_TO_FETCH_TABLE.drop(contact.person.id.hex(), device.vault)
            return
        reported = replace(
            waiting, asked_at=now_in_whole_seconds(device), tries=DEVICE_LIST_REQUESTS_PER_DAY_MAX
        )
        DEVICE_LIST_TO_FETCH_TABLE.store(reported, contact.person.id.hex(), device.vault)
        if waiting.tries < DEVICE_LIST_REQUESTS_PER_DAY_MAX and waiting.proven:
            _report_list_problem(DeviceListContradiction.SPLIT, contact, device)


def _fetch_bundle(contact: Contact, device: Device) -> bytes | None:
    """Fetch the key bundle from the first of a contact's mailboxes that has one; None if none has.

    Raises:
        RelayUnreachable.
    """
    for key in contact.person.devices:
        if not has_tokens_for(contact, key.device, device):
            continue
        token = next_token_for(contact, key.device, device)
        url, mailbox = token_route_to(contact.person, key, device)
        try:
            shown = device.courier.key_bundle(url, mailbox, token)
            return open_key_bundle(shown, contact.person.id, mailbox)
        except Unreachable:
            raise
        except EntrenousError:
            continue
    return None


def _count_failed_fetch(waiting: DeviceListToFetch, contact: Contact, device: Device) -> None:
    """Count a failed attempt to get a list.

    The third failure is reported. The count starts again when a letter names a list that has
    priority over this one (``DeviceListToFetch.fetch_priority``). If only somebody else named a
    newer list of ours, the report says that two views differ, and not that a list is withheld.
    """
    tried = replace(waiting, asked_at=now_in_whole_seconds(device), tries=waiting.tries + 1)
    with device.vault.transaction():
        DEVICE_LIST_TO_FETCH_TABLE.store(tried, contact.person.id.hex(), device.vault)
        if tried.tries == DEVICE_LIST_REQUESTS_PER_DAY_MAX and waiting.proven:
            claimed = contact.person.id == own_device(device).person.id and not waiting.own
            _report_list_problem(
                DeviceListContradiction.SPLIT if claimed else DeviceListContradiction.HELD_BACK,
                contact,
                device,
            )


def _report_list_problem(lists: DeviceListContradiction, contact: Contact, device: Device) -> None:
    ours = contact.person.id == own_device(device).person.id
    record_device_list_contradiction(None if ours else contact.name, lists, device)
