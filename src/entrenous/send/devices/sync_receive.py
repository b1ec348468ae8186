"""Apply records from our other devices: the latest change wins, and names stay unique."""

from dataclasses import replace
from typing import Final

from entrenous.base.identifiers import DeviceId, PersonId
from entrenous.base.identity import Contact, ForkedDeviceList, OutdatedDeviceList, Trust
from entrenous.crypto.hashing import equal_in_constant_time
from entrenous.crypto.nouns import NotForThisMailbox
from entrenous.crypto.statements import verify_key_bundle
from entrenous.device.device import Device
from entrenous.device.identities import (
    CONTACT_TABLE,
    NO_SEND_TOKEN,
    comparable_name,
    contacts,
    own_device,
    own_name,
    refuse_loopback_relay,
    store_known_key_bundle,
)
from entrenous.device.vault_tables import (
    DEVICE_TO_GREET,
    peer_key,
)
from entrenous.send.devices.device_lists import accept_contact_bundle, freeze_contact
from entrenous.send.devices.linked_devices import (
    LinkedDevice,
    free_device_name,
    linked_device_by_id,
    own_linked_devices,
    store_linked_device,
)
from entrenous.send.devices.sync_records import (
    ChangeStamp,
    change_stamp_of,
    is_known_blocked,
    shared_record_digest,
    shared_record_key,
    store_change_stamp,
)
from entrenous.send.devices.sync_send import mark_for_resync, record_synced_version
from entrenous.send.formats.sync_format import (
    SharedBlock,
    SharedCircle,
    SharedCloseToken,
    SharedContact,
    SharedForgottenContact,
    SharedMailboxes,
    SharedRecord,
    read_sync_note,
)
from entrenous.send.letter.letter_nouns import SyncNote
from entrenous.send.people.block import block_contact
from entrenous.send.people.circles import (
    CIRCLE_TABLE,
    Circle,
    CircleId,
    circles,
    delete_circle,
    store_circle,
)
from entrenous.send.people.contact_history import record_contact_change, record_renaming
from entrenous.send.people.invite import record_joined_on_other_device
from entrenous.send.people.keep_contacts import (
    contact_by_id,
    forget_contact,
    free_contact_name,
    store_contact,
)
from entrenous.send.tokens.use import lacks_token_range, receive_lent_tokens
from entrenous.wire.key_bundle import read_key_bundle


def resolve_shared_name(
    wanted: str, before: str, owner: PersonId | CircleId, device: Device
) -> str:
    """Choose the name for a person or circle that another device of ours calls ``wanted``.

    If another person or circle has that name already, one of the two keeps it: the person, if the
    other is a circle, and otherwise the one with the lower id. The other one gets a free name, and
    the user is notified. All our devices apply this rule, so they decide alike.

    ``before`` is the name used here so far. Call this function in the transaction that stores the
    record, before the record is stored.
    """
    others = [
        one for one in _contacts_and_circles_named(wanted, device) if _id_of_named(one) != owner
    ]
    if any(_naming_rank(_id_of_named(one)) < _naming_rank(owner) for one in others):
        name = free_contact_name(wanted, device, owner)
        if name != before:
            record_renaming(wanted, name, device)
        return name
    for one in others:
        _rename_to_free_name(one, device)
    return wanted


def _contacts_and_circles_named(name: str, device: Device) -> list[Contact | Circle]:
    every: list[Contact | Circle] = [*contacts(device), *circles(device.vault)]
    return [one for one in every if comparable_name(one.name) == comparable_name(name)]


def _id_of_named(named: Contact | Circle) -> PersonId | CircleId:
    return named.person.id if isinstance(named, Contact) else named.id


def _naming_rank(owner: PersonId | CircleId) -> tuple[int, bytes]:
    """Sort key: people, whose ids are longer, come first; then by id."""
    return -len(owner), owner


def _rename_to_free_name(named: Contact | Circle, device: Device) -> None:
    renamed = replace(named, name=free_contact_name(named.name, device))
    record_renaming(named.name, renamed.name, device)
    if isinstance(renamed, Contact):
        CONTACT_TABLE.store(renamed, renamed.person.id.hex(), device.vault)
    else:
        store_circle(renamed, device.vault)


_RECORDS_ABOUT_PEOPLE: Final = (SharedContact, SharedForgottenContact, SharedBlock)


def apply_sync_note(note: SyncNote, sender: DeviceId, epoch: int, device: Device) -> None:
    """Apply a record from another device, sent while our device list had the number ``epoch``.

    Call it in the transaction that opens the record's letter.

    Raises:
        BadSync.
        NotForThisMailbox: the record has the close token or the mailboxes of a device other than
            its sender, says that we forgot or blocked ourselves, or has another person's keys.
        BadKeyBundle, BadSignature, AddressOnThisMachine: its key bundle is not accepted.
    """
    shared = read_sync_note(note)
    if isinstance(shared, SharedCloseToken | SharedMailboxes) and shared.device != sender:
        raise NotForThisMailbox(what="it is about a device other than the one that sent it")
    if isinstance(shared, _RECORDS_ABOUT_PEOPLE) and shared.person == own_device(device).person.id:
        _apply_record_about_self(shared, device)
        return
    # The record stored here may differ from the one received, for example if its name is taken
    # here. Then stamp_and_list_shared_records dates it as a new change.
    key, said = shared_record_key(shared), ChangeStamp(shared.at, shared_record_digest(shared))
    known = change_stamp_of(key, device)
    if known is not None and _is_our_record_current(known, said, shared):
        if known == said:
            record_synced_version(sender, key, device)
        if isinstance(shared, SharedContact):
            _store_lent_tokens(shared, device)
        elif isinstance(shared, SharedForgottenContact):
            mark_for_resync(sender, shared.person, device)
        return
    _apply_record(shared, epoch, device)
    store_change_stamp(key, said, device)
    record_synced_version(sender, key, device)


def _is_our_record_current(known: ChangeStamp, received: ChangeStamp, shared: SharedRecord) -> bool:
    """Return whether our record is at least as new as the one received.

    A close token and a list of mailboxes are written by one device only and arrive in order. Of two
    such records with the same time, the one that arrives later is the newer one.
    """
    if isinstance(shared, SharedCloseToken | SharedMailboxes):
        return known.at > received.at or known == received
    return known.sort_key >= received.sort_key


def _apply_record(shared: SharedRecord, epoch: int, device: Device) -> None:
    match shared:
        case SharedContact():
            _apply_contact(shared, device)
        case SharedForgottenContact():
            known = _contact_unless_self(shared.person, device)
            if known is not None:
                forget_contact(known.name, device)
        case SharedBlock():
            _apply_block(shared, device)
        case SharedCircle():
            _apply_circle(shared, device)
        case SharedCloseToken():
            _apply_close_token(shared, device)
        case SharedMailboxes():
            _apply_mailboxes(shared, epoch, device)


def _contact_unless_self(person: bytes, device: Device) -> Contact | None:
    """Return the contact with this id; None if there is none, or if this is us."""
    return None if person == own_device(device).person.id else contact_by_id(person, device)


def _apply_contact(shared: SharedContact, device: Device) -> None:
    before = _contact_unless_self(shared.person, device)
    known = (
        _new_contact(shared, device) if before is None else _updated_contact(before, shared, device)
    )
    name = resolve_shared_name(shared.name, known.name, shared.person, device)
    trust = Trust.UNKNOWN if known.forked else shared.trust
    after = replace(known, name=name, trust=trust, since=shared.since, receipts=shared.receipts)
    if before is not None:
        after = record_contact_change(known, after, device)
    store_contact(after, device)
    # a newly linked device receives old contacts, which are not news
    is_news = shared.since >= own_device(device).key.created_at
    if before is None and trust is Trust.BY_LINK and is_news:
        record_joined_on_other_device(after, device)
    _store_lent_tokens(shared, device)


def _store_lent_tokens(shared: SharedContact, device: Device) -> None:
    """Store the send tokens that another device of ours shares with this one (lent tokens). They
    may arrive after the contact.
    """
    kept = _contact_unless_self(shared.person, device)
    listed = set() if kept is None else {key.device for key in kept.person.devices}
    for key, lent in shared.lent:
        if kept is not None and key in listed:
            receive_lent_tokens(shared.person, key, lent, device)
            if not kept.blocked:
                device.vault.put(DEVICE_TO_GREET, peer_key(shared.person, key), b"")


def _apply_record_about_self(shared: SharedRecord, device: Device) -> None:
    """Accept a record about ourselves.

    Take only the lent tokens for writing to those of our devices that have not given this device a
    range of tokens yet. Ignore everything else in the record.
    """
    if not isinstance(shared, SharedContact):
        raise NotForThisMailbox(what="it treats you as one of your own contacts")
    for key, lent in shared.lent:
        if linked_device_by_id(key, device) and lacks_token_range(shared.person, key, device):
            receive_lent_tokens(shared.person, key, lent, device)
            device.vault.put(DEVICE_TO_GREET, peer_key(shared.person, key), b"")


def _new_contact(shared: SharedContact, device: Device) -> Contact:
    person = verify_key_bundle(read_key_bundle(shared.card))
    if not equal_in_constant_time(person.id, shared.person):
        raise NotForThisMailbox(what="the keys in it belong to another person")
    refuse_loopback_relay(person.relay_url, device)
    store_known_key_bundle(person.id, shared.card, device)
    blocked = is_known_blocked(shared.person, device)
    return Contact(shared.name, person, NO_SEND_TOKEN, shared.trust, shared.since, blocked=blocked)


def _updated_contact(known: Contact, shared: SharedContact, device: Device) -> Contact:
    if not shared.card:
        return known
    try:
        return accept_contact_bundle(known, shared.card, device)
    except OutdatedDeviceList:
        return known
    except ForkedDeviceList as fork:
        freeze_contact(fork, device)
        return contact_by_id(known.person.id, device) or known


def _apply_block(shared: SharedBlock, device: Device) -> None:
    """Block or unblock a person as another device of ours did.

    If the person is unknown, do nothing now; the block takes effect when the person is added.
    """
    known = _contact_unless_self(shared.person, device)
    if known is None or known.blocked == shared.blocked:
        return
    if shared.blocked:
        block_contact(known.name, device)
        return
    store_contact(replace(known, blocked=False), device)
    for key in known.person.devices:
        device.vault.put(DEVICE_TO_GREET, peer_key(known.person.id, key.device), b"")


def _apply_circle(shared: SharedCircle, device: Device) -> None:
    known = CIRCLE_TABLE.load(shared.id.hex(), device.vault)
    if shared.name is None or not shared.people:
        if known is not None:
            delete_circle(known, device.vault)
        return
    before = shared.name if known is None else known.name
    name = resolve_shared_name(shared.name, before, shared.id, device)
    circle = Circle(shared.id, name, shared.people, shared.made_at)
    if known is not None:
        circle = replace(known, name=name, people=shared.people, made_at=shared.made_at)
    store_circle(circle, device.vault)


def _apply_close_token(shared: SharedCloseToken, device: Device) -> None:
    known = linked_device_by_id(shared.device, device)
    others = [one.name for one in own_linked_devices(device) if one.device != shared.device]
    name = free_device_name(shared.name, [own_name(device), *others])
    known = known or LinkedDevice(shared.device, name, None, has_written=True)
    store_linked_device(replace(known, name=name, close=shared.close), device)


def _apply_mailboxes(shared: SharedMailboxes, epoch: int, device: Device) -> None:
    known = linked_device_by_id(shared.device, device)
    if known is not None:
        store_linked_device(replace(known, homes=shared.homes, homes_epoch=epoch), device)
