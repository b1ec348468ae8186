"""Device lists: accept a contact's newer list, and sign our own next one (docs/spec/identity.md).

A contact whose lists contradict each other is frozen: this device sends them no messages until the
keys are compared. Data about devices that left a list is deleted.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import (
    BadSignature,
    Contact,
    DeviceList,
    DeviceListHead,
    DeviceListHistoryRelation,
    ForkedDeviceList,
    KeyBundle,
    ListedDevice,
    Person,
    RevocationReason,
    RevokedDevice,
    SignedDeviceCertificate,
    Trust,
)
from entrenous.base.limits import DEVICES_MAX, REVOKED_DEVICES_MAX, TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time
from entrenous.crypto.statements import (
    certificate_hash,
    compare_heads,
    compare_later_lists,
    device_list_head,
    device_list_heads,
    verify_key_bundle,
)
from entrenous.device.device import Device
from entrenous.device.identities import (
    CONTACT_TABLE,
    DEVICE_LIST_TABLE,
    KEY_BUNDLE_TO_PUBLISH_RECORD,
    NEXT_CLOSE_TOKEN_RECORD,
    OWN_IDENTITY,
    OwnIdentity,
    own_device,
    own_name,
    refuse_loopback_relay,
    store_identity,
    store_known_key_bundle,
)
from entrenous.device.recovery_sheet import MasterKeyNotHere, RecoverySheet, SheetOfAnotherPerson
from entrenous.device.vault_tables import (
    ANNOUNCED_TOKEN_RANGE,
    DEVICE_TO_GREET,
    FIRST_LETTER_TOKEN,
    GREETING_SENT,
    HELD_TOKEN_RANGE,
    LAST_HEARD,
    OWN_RECORDS,
    PEER,
    peer_key,
)
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.devices.linked_devices import (
    LINKED_DEVICE_TABLE,
    LinkedDevice,
    TooManyDevices,
    free_device_name,
    linked_device_by_id,
    mailbox_of_device,
    own_linked_devices,
    store_linked_device,
)
from entrenous.send.devices.next_mailbox import (
    abandon_prepared_mailboxes,
    forget_mailboxes_prepared_by_others,
    mailbox_deletions_for,
    prepared_mailbox,
)
from entrenous.send.devices.old_mailbox import replace_old_mailbox_close_tokens, switch_mailbox
from entrenous.send.devices.own_key_bundle import schedule_mailbox_deletion, sign_bundle
from entrenous.send.letter.letter_nouns import OWN_XWING_KEY_TABLE, PEER_TABLE
from entrenous.send.outbox import drop_items_for_peers
from entrenous.send.people.contact_history import (
    record_contact_change,
    record_device_list_contradiction,
)
from entrenous.send.people.keep_contacts import (
    compare_key_bundle,
    contact_by_id,
    fork_error,
    store_contact,
)
from entrenous.send.people.people_nouns import (
    DEVICE_LIST_FORK_TABLE,
    DEVICE_LIST_TO_FETCH_TABLE,
    DeviceListContradiction,
    DeviceListForkEvidence,
)
from entrenous.send.tokens.issue import withdraw_range
from entrenous.send.tokens.use import record_former_mailboxes, store_announced_ranges
from entrenous.wire.key_bundle import (
    read_device_list,
    read_key_bundle,
    write_device_list,
    write_key_bundle,
)


def freeze_contact(fork: ForkedDeviceList, device: Device) -> None:
    """Store the evidence of a fork (two contradictory lists), and stop sending to this person; call
    it in a transaction.

    Only the first fork of a person's lists is stored and reported. If our own lists are forked,
    nobody is frozen.
    """
    person, head = fork.facts.get("person"), fork.facts.get("head")
    if not isinstance(person, bytes) or not isinstance(head, DeviceListHead):
        return
    whose = person.hex()
    contact = contact_by_id(person, device)
    if contact is None or DEVICE_LIST_FORK_TABLE.has(whose, device.vault):
        return
    card = fork.facts.get("card")
    shown = card if isinstance(card, bytes) else None
    kept = DeviceListForkEvidence(
        now_in_whole_seconds(device), _known_key_bundle(contact, device), head, shown
    )
    DEVICE_LIST_FORK_TABLE.store(kept, whose, device.vault)
    ours = person == own_device(device).person.id
    if not ours:
        CONTACT_TABLE.store(replace(contact, forked=True, trust=Trust.UNKNOWN), whose, device.vault)
    record_device_list_contradiction(
        None if ours else contact.name, DeviceListContradiction.FORKED, device
    )


def unfrozen_contact_after_comparison(contact: Contact, device: Device) -> Contact:
    """Delete the evidence of a fork, since the contact's keys have been compared. Return the
    unfrozen contact, which the caller has to store.
    """
    DEVICE_LIST_FORK_TABLE.drop(contact.person.id.hex(), device.vault)
    return replace(contact, forked=False)


def _known_key_bundle(contact: Contact, device: Device) -> bytes:
    known = DEVICE_LIST_TABLE.load(contact.person.id.hex(), device.vault)
    return b"" if known is None else known.card


_TABLES_ABOUT_A_DEVICE = (
    PEER,
    LAST_HEARD,
    FIRST_LETTER_TOKEN,
    HELD_TOKEN_RANGE,
    ANNOUNCED_TOKEN_RANGE,
    GREETING_SENT,
    DEVICE_TO_GREET,
)


def removed_devices(before: Person, after: Person) -> tuple[DeviceId, ...]:
    """Return the devices whose keys are no longer in a person's newer list."""
    listed = {key.id_and_keys for key in after.devices}
    return tuple(key.device for key in before.devices if key.id_and_keys not in listed)


def forget_devices(person: PersonId, removed: Iterable[DeviceId], device: Device) -> None:
    """Forget the sessions, keys, tokens and queued letters of devices that left a person's list.

    Somebody else may have a removed device, so it must receive nothing. Counters are deleted too,
    since a revoked device is never listed again (docs/spec/identity.md section 3). Call it in a
    transaction.
    """
    for one in removed:
        whose = peer_key(person, one)
        peer = PEER_TABLE.load(whose, device.vault)
        for key in () if peer is None else peer.mine:
            OWN_XWING_KEY_TABLE.drop(key.hex(), device.vault)
        withdraw_range(whose, device)
        drop_items_for_peers(whose, device)
        for table in _TABLES_ABOUT_A_DEVICE:
            device.vault.drop(table, whose)


def accept_contact_bundle(known: Contact, untrusted_card: bytes, device: Device) -> Contact:
    """Update a contact from a newer key bundle, and store the contact. Call this function in a
    transaction.

    Devices that left the list are forgotten, and the change is reported once. Trust becomes
    "unknown" if the bundle's history does not reach back to the newest list that we know. A contact
    whose lists contradict each other (a fork) stays unchanged.

    Raises:
        BadKeyBundle, OutdatedDeviceList, AddressOnThisMachine.
        BadSignature: also for somebody else's bundle.
        ForkedDeviceList: with the facts that :func:`freeze_contact` needs.
    """
    card = read_key_bundle(untrusted_card)
    person = verify_key_bundle(card)
    if not equal_in_constant_time(person.id, known.person.id):
        raise BadSignature(what="key bundle")
    if known.forked:
        return known
    refuse_loopback_relay(person.relay_url, device)
    standing = compare_key_bundle(card, known, device)
    trust = Trust.UNKNOWN if standing is DeviceListHistoryRelation.NEWER_UNPROVEN else known.trust
    after = record_contact_change(known, replace(known, person=person, trust=trust), device)
    forget_devices(person.id, removed_devices(known.person, person), device)
    record_former_mailboxes(known.person, person, device)
    store_contact(after, device)
    store_known_key_bundle(person.id, untrusted_card, device)
    store_announced_ranges(person.id, device)
    DEVICE_LIST_TO_FETCH_TABLE.drop(person.id.hex(), device.vault)
    return after


_REASON_LOST: Final = RevocationReason.LOST


def find_master_key(sheet: RecoverySheet | None, device: Device) -> Secret:
    """Return the master key, which signs lists, from the vault or the recovery sheet.

    Raises:
        MasterKeyNotHere: the key is on a sheet, and no sheet was given.
        SheetOfAnotherPerson: the sheet is somebody else's.
        DeviceWithoutRelay, RolledBack.
    """
    me, identity = own_device(device), OWN_IDENTITY.load(device.vault)
    if sheet is not None and sheet.person != me.person.id:
        raise SheetOfAnotherPerson
    master = (identity.master if identity else None) or (sheet and sheet.master)
    if not master:
        raise MasterKeyNotHere
    return master


def sign_list_adding(
    master: Secret, signed: SignedDeviceCertificate, mailbox: MailboxId, device: Device
) -> KeyBundle:
    """Sign a list with one more device; returns the new key bundle.

    Raises:
        TooManyDevices.
    """
    card = read_key_bundle(own_device(device).card)
    listed = ListedDevice(signed.certificate.device, certificate_hash(signed), mailbox)
    devices = (*card.newest.said.devices, listed)
    if len(devices) > DEVICES_MAX:
        raise TooManyDevices
    following = replace(
        card.newest.said, devices=tuple(sorted(devices, key=lambda one: one.device))
    )
    return _sign_next_list(master, card, following, (*card.certificates, signed), device)


def sign_list_revoking(
    master: Secret, device_id: DeviceId, kind: RevocationReason, device: Device
) -> KeyBundle:
    """Sign a list in which the device ``device_id`` is revoked; returns the new key bundle."""
    card = read_key_bundle(own_device(device).card)
    said = card.newest.said
    revoked = (*said.revoked, RevokedDevice(device_id, now_in_whole_seconds(device), kind))
    following = replace(
        said,
        devices=tuple(one for one in said.devices if one.device != device_id),
        revoked=_newest_revocations(revoked),
    )
    return _sign_next_list(master, card, following, card.certificates, device)


def sign_list_moving(
    master: Secret, relay_url: str, mailboxes: Mapping[DeviceId, MailboxId], device: Device
) -> KeyBundle:
    """Sign a list that moves all our devices to another relay; returns the new key bundle."""
    card = read_key_bundle(own_device(device).card)
    said = card.newest.said
    devices = tuple(replace(one, mailbox=mailboxes[one.device]) for one in said.devices)
    following = replace(said, devices=devices, relay_url=relay_url)
    return _sign_next_list(master, card, following, card.certificates, device)


def accept_own_bundle(card: KeyBundle, device: Device, *, signed_here: bool = False) -> bool:
    """Accept a newer key bundle of ours; call it in a transaction.

    Devices that are no longer listed are forgotten. If the bundle lists this device at another
    relay, this device moves. A bundle is not accepted if it does not list this device (no device
    can revoke itself), or lists it at a mailbox that this device did not create.

    Returns: whether it was accepted.

    Raises:
        OutdatedDeviceList, ForkedDeviceList.
        BadSignature: also for somebody else's bundle.
    """
    me, person = own_device(device), verify_key_bundle(card)
    if not equal_in_constant_time(person.id, me.person.id):
        raise BadSignature(what="key bundle")
    if _compare_with_own_bundle(card, me) is DeviceListHistoryRelation.SAME:
        return False
    identity = OWN_IDENTITY.load(device.vault)
    if identity is None or not _is_device_listed(person, me):
        return False
    here = person.relay_url, mailbox_of_device(me.key.device, person)
    moves = here != (me.home.relay_url, me.home.mailbox)
    new = prepared_mailbox(person.relay_url, device) if moves else None
    if moves and (new is None or new.home.mailbox != here[1]):
        return False
    listed, gone = {key.device for key in person.devices}, removed_devices(me.person, person)
    home = me.home if new is None else new.home
    updated = replace(
        identity, name=person.name, home=home, person=person, card=write_key_bundle(card)
    )
    store_identity(updated, device)
    device.vault.put(OWN_RECORDS, KEY_BUNDLE_TO_PUBLISH_RECORD, b"")
    _schedule_mailbox_deletions(gone, me, device)
    forget_devices(person.id, gone, device)
    _update_linked_devices(listed - {me.key.device}, gone, device)
    if new is not None:
        switch_mailbox(me, new, device, led=signed_here)
        forget_mailboxes_prepared_by_others(person, device)
    store_announced_ranges(person.id, device)
    _replace_tokens_after_loss(
        read_key_bundle(me.card).newest.said, card.newest.said, person, device
    )
    return True


def _is_device_listed(person: Person, me: OwnIdentity) -> bool:
    keys = (replace(key, mailbox=me.key.mailbox) for key in person.devices)
    return me.key in keys


def _compare_with_own_bundle(card: KeyBundle, me: OwnIdentity) -> DeviceListHistoryRelation:
    known = read_key_bundle(me.card)
    try:
        standing = compare_heads(device_list_heads(known.lists), device_list_heads(card.lists))
        unproven = standing is DeviceListHistoryRelation.NEWER_UNPROVEN
        return compare_later_lists(known.newest, card.lists) if unproven else standing
    except ForkedDeviceList:
        raise fork_error(
            me.person.id, device_list_heads(card.lists)[-1], write_key_bundle(card)
        ) from None


def _schedule_mailbox_deletions(
    removed: Collection[DeviceId], me: OwnIdentity, device: Device
) -> None:
    """Schedule the deletion of revoked devices' mailboxes.

    Every device of ours that knows a mailbox's token does this, because the revoking device may not
    know the token.
    """
    for key in me.person.devices:
        one = linked_device_by_id(key.device, device) if key.device in removed else None
        for closing in (
            () if one is None else mailbox_deletions_for(one, me.home.relay_url, key, device)
        ):
            schedule_mailbox_deletion(closing, device)


def _update_linked_devices(
    listed: Collection[DeviceId], removed: Collection[DeviceId], device: Device
) -> None:
    """Remove our devices that are no longer listed; add those that another device of ours has
    linked.
    """
    for one in removed:
        LINKED_DEVICE_TABLE.drop(one.hex(), device.vault)
    for one in sorted(listed):
        if linked_device_by_id(one, device) is None:
            names = [own_name(device), *(known.name for known in own_linked_devices(device))]
            store_linked_device(LinkedDevice(one, free_device_name(None, names), None), device)


def _replace_tokens_after_loss(
    before: DeviceList, after: DeviceList, person: Person, device: Device
) -> None:
    """If a device was lost, replace the close tokens of this device's mailboxes, which the lost
    device may know, and abandon the mailboxes prepared for a move.
    """
    known = {was.device for was in before.revoked}
    if any(was.device not in known and was.kind is _REASON_LOST for was in after.revoked):
        abandon_prepared_mailboxes(person, device)
        replace_old_mailbox_close_tokens(device)
        device.vault.put(
            OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD, device.random_source.token(TOKEN_BYTES)
        )


def _sign_next_list(
    master: Secret,
    card: KeyBundle,
    following: DeviceList,
    certificates: tuple[SignedDeviceCertificate, ...],
    device: Device,
) -> KeyBundle:
    said = replace(
        following,
        epoch=card.newest.said.epoch + 1,
        previous=device_list_head(card.newest.statement),
        issued_at=max(card.newest.said.issued_at, now_in_whole_seconds(device)),
    )
    statement = read_device_list(write_device_list(said))
    return sign_bundle(master, (*card.lists, statement), certificates)


def _newest_revocations(revoked: tuple[RevokedDevice, ...]) -> tuple[RevokedDevice, ...]:
    """Return the latest revocations that fit into a list, in the order that a list requires."""
    newest = sorted(revoked, key=lambda one: one.at)[-REVOKED_DEVICES_MAX:]
    return tuple(sorted(newest, key=lambda one: one.device))
