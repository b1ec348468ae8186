"""Send our other devices the records they do not have yet (docs/spec/devices.md, section 5)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from entrenous.base.identifiers import ID_BYTES, DeviceId, PersonId
from entrenous.base.limits import LENT_TOKENS_PER_DEVICE
from entrenous.device.device import Device
from entrenous.device.identities import may_advance_ratchets, own_device
from entrenous.device.vault_tables import SYNCED_VERSION, peer_key
from entrenous.send.devices.linked_devices import LinkedDevice, own_linked_devices
from entrenous.send.devices.sync_records import (
    change_stamp_of,
    contact_record_key,
    shared_record_digest,
    stamp_and_list_shared_records,
)
from entrenous.send.formats.sync_format import (
    SharedContact,
    SharedForgottenContact,
    SharedRecord,
    write_sync_note,
)
from entrenous.send.letter.letter_nouns import PEER_TABLE
from entrenous.send.letter.write import (
    Addressee,
    addressee_of,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.people.keep_contacts import contact_by_id
from entrenous.send.tokens.token_ranges import LentToken
from entrenous.send.tokens.use import has_tokens_for, lend_tokens

_DIGEST_OFFSET_BYTES: Final = 8  # the digest's offset in bytes; the time comes first
_TIME_AND_DIGEST_BYTES: Final = 40  # time and digest; device ids follow


def queue_sync_letters(device: Device) -> None:
    """Queue a letter for each record that one of our other devices does not have yet.

    A device that has not written to us yet gets its letters once it has written.
    """
    others = [one for one in own_linked_devices(device) if one.has_written]
    if not others or not may_advance_ratchets(device):
        return
    with device.vault.transaction():
        records = stamp_and_list_shared_records(device)
        for one in others:
            to = addressee_of(own_device(device).person.id, one.device, device)
            if to is not None and _can_write_to(to, device):
                _write_changed_records(one, to, records, device)


def record_synced_version(
    linked: DeviceId, key: str, device: Device, lacks: Sequence[DeviceId] | None = None
) -> None:
    """Record that another device of ours has the present version of this record.

    ``lacks`` are those devices of a contact for which we have lent the other device no tokens yet
    (None: unchanged).
    """
    stamp = change_stamp_of(key, device)
    if stamp is not None:
        before = device.vault.get(SYNCED_VERSION, _synced_key(linked, key)) or b""
        still = before[_TIME_AND_DIGEST_BYTES:] if lacks is None else b"".join(lacks)
        device.vault.put(
            SYNCED_VERSION, _synced_key(linked, key), _encoded_change_stamp(key, device) + still
        )


def mark_contact_for_resync(person: PersonId, device: Device) -> None:
    """Have the next sync resend a contact, with new tokens, to all our other devices.

    This is for a contact who has added us again, since the earlier tokens may be invalid. Call it
    in a transaction.
    """
    for one in own_linked_devices(device):
        mark_for_resync(one.device, person, device)


def mark_for_resync(linked: DeviceId, person: PersonId, device: Device) -> None:
    """Have the next sync resend a contact to the device ``linked``, with new tokens."""
    device.vault.drop(SYNCED_VERSION, _synced_key(linked, contact_record_key(person)))


def forget_synced_versions(linked: DeviceId, device: Device) -> None:
    """Forget what was sent to a device that is no longer ours."""
    for key in device.vault.keys(SYNCED_VERSION, linked.hex()):
        device.vault.drop(SYNCED_VERSION, key)


def _can_write_to(to: Addressee, device: Device) -> bool:
    person, key = to.contact.person.id, to.key.device
    met = PEER_TABLE.has(peer_key(person, key), device.vault)
    return met and has_tokens_for(to.contact, key, device)


def _write_changed_records(
    linked: LinkedDevice, to: Addressee, records: dict[str, SharedRecord], device: Device
) -> None:
    for key, shared in records.items():
        synced = device.vault.get(SYNCED_VERSION, _synced_key(linked.device, key))
        knows = synced is not None and synced[:_TIME_AND_DIGEST_BYTES] == _encoded_change_stamp(
            key, device
        )
        if synced is not None and _was_forgotten(synced, shared):
            synced = None  # with the contact, the other device forgot the tokens that it was lent
        lacked = [
            who for who in _devices_without_tokens(synced, shared, device) if who != linked.device
        ]
        if (knows and not lacked) or not _is_encodable(shared):
            continue
        said = _with_lent_tokens(shared, lacked, device)
        lent = [who for who, _ in said.lent] if isinstance(said, SharedContact) else []
        if lacked and not lent and (knows or synced is None):
            continue  # we have no tokens yet for this contact
        seal_and_queue_letter(
            write_sync_note(said), to, outer_parts_without_content(device), device
        )
        record_synced_version(
            linked.device, key, device, [who for who in lacked if who not in lent]
        )


def _devices_without_tokens(
    sent_state: bytes | None, shared: SharedRecord, device: Device
) -> list[DeviceId]:
    """Return the contact's devices for which our other device was lent no tokens."""
    contact = contact_by_id(shared.person, device) if isinstance(shared, SharedContact) else None
    if contact is None or contact.blocked:
        return []
    listed = [key.device for key in contact.person.devices]
    if sent_state is None:
        return listed
    noted = sent_state[_TIME_AND_DIGEST_BYTES:]
    lacked = {noted[at : at + ID_BYTES] for at in range(0, len(noted), ID_BYTES)}
    return [one for one in listed if one in lacked]


def _was_forgotten(sent_state: bytes, shared: SharedRecord) -> bool:
    """Check whether the record that our other device has says that this contact was forgotten."""
    if not isinstance(shared, SharedContact):
        return False
    gone = shared_record_digest(SharedForgottenContact(shared.person, shared.at))
    return sent_state[_DIGEST_OFFSET_BYTES:_TIME_AND_DIGEST_BYTES] == gone


def _is_encodable(shared: SharedRecord) -> bool:
    """Check whether a record is valid.

    An invalid record must neither stop the other records nor use up tokens.
    """
    try:
        write_sync_note(shared)
    except ValueError:
        return False
    return True


def _with_lent_tokens(
    shared: SharedRecord, lacked: Sequence[DeviceId], device: Device
) -> SharedRecord:
    """Add to a contact's record the tokens that we can lend for the devices in ``lacked``."""
    if not isinstance(shared, SharedContact):
        return shared
    lent = list[tuple[DeviceId, tuple[LentToken, ...]]]()
    for one in lacked:
        tokens = lend_tokens(shared.person, one, LENT_TOKENS_PER_DEVICE, device)
        lent.extend([(one, tokens)] if tokens else [])
    return replace(shared, lent=tuple(lent))


def _encoded_change_stamp(key: str, device: Device) -> bytes:
    stamp = change_stamp_of(key, device)
    if stamp is None:
        return b""
    return int(stamp.at.timestamp()).to_bytes(_DIGEST_OFFSET_BYTES, "big") + stamp.digest


def _synced_key(linked: DeviceId, key: str) -> str:
    return f"{linked.hex()} {key}"
