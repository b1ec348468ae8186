"""The records that a person's devices share, and when each record last changed.

See docs/spec/devices.md, section 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from entrenous.base.identifiers import PersonId
from entrenous.base.identity import Contact, Person, Trust
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.device.identities import (
    CONTACT_TABLE,
    DEVICE_LIST_TABLE,
    ROLLED_BACK_RECORD,
    own_device,
    own_name,
)
from entrenous.device.vault_tables import (
    CHANGE_TIME,
    OWN_RECORDS,
    Table,
)
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.devices.linked_devices import own_linked_devices
from entrenous.send.devices.next_mailbox import own_mailboxes_to_announce
from entrenous.send.formats.sync_format import (
    SharedBlock,
    SharedCircle,
    SharedCloseToken,
    SharedContact,
    SharedForgottenContact,
    SharedMailboxes,
    SharedRecord,
    comparable_form,
)
from entrenous.send.people.circles import CircleId, circles

_CONTACT_KEY_PREFIX: Final = "contact "
_CIRCLE_KEY_PREFIX: Final = "circle "
# Two devices need no record about ourselves: one has linked the other, so they already have tokens
# for each other.
_DEVICES_NEEDING_NO_SELF_RECORD_MAX: Final = 2
# The latest time that a record may have. Another device may send it as the time of a change; adding
# a second to it would overflow.
_LATEST_TIME: Final = datetime.max.replace(microsecond=0, tzinfo=UTC)
_EARLIEST_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ChangeStamp:
    """The time of a record's last change, and the hash of its content at that time."""

    at: datetime
    digest: bytes

    @property
    def sort_key(self) -> tuple[datetime, bytes]:
        """Return a sort key: the stamp with the greater key wins.

        If two changes were made within one second, the hash decides, the same way on all devices.
        """
        return self.at, self.digest


CHANGE_STAMP_TABLE: Final = Table(CHANGE_TIME, ChangeStamp)


def shared_record_key(shared: SharedRecord) -> str:
    """Return the key that a record has in :data:`CHANGE_STAMP_TABLE`. A newer record replaces an
    older one with the same key.
    """
    match shared:
        case SharedContact() | SharedForgottenContact():
            return contact_record_key(shared.person)
        case SharedCircle():
            return _CIRCLE_KEY_PREFIX + shared.id.hex()
        case SharedCloseToken():
            return "close " + shared.device.hex()
        case SharedBlock():
            return "blocked " + shared.person.hex()
        case SharedMailboxes():
            return "homes " + shared.device.hex()


def contact_record_key(person: PersonId) -> str:
    """Return the key of the record about a contact, which is also the key of the record that says
    that the contact was forgotten.
    """
    return _CONTACT_KEY_PREFIX + person.hex()


def shared_record_digest(shared: SharedRecord) -> bytes:
    """Return a hash that is equal on devices with equal records."""
    return sha256(comparable_form(shared))


def stamp_and_list_shared_records(device: Device) -> dict[str, SharedRecord]:
    """Return every shared record by key, including those that say that a contact or circle was
    deleted.

    The field ``at`` of each record is the time of its last change; changes since the last call are
    dated now. Call this function in a transaction.
    """
    now = now_in_whole_seconds(device)
    found = {shared_record_key(one): one for one in _current_records(now, device)}
    ours = contact_record_key(own_device(device).person.id)
    for key in CHANGE_STAMP_TABLE.keys(device.vault):
        if (
            key not in found
            and key.startswith((_CONTACT_KEY_PREFIX, _CIRCLE_KEY_PREFIX))
            and key != ours
        ):
            found[key] = _deletion_record(key, now)
    # Blocks sort first. Otherwise, on a new device, a blocked person would not be blocked until a
    # later letter.
    return {key: _with_stamp(key, one, now, device) for key, one in sorted(found.items())}


def record_change_times(device: Device) -> None:
    """Record the times of changes, in the transaction that makes them.

    Otherwise a device that sends a change only days later would undo newer changes made elsewhere.
    """
    if own_linked_devices(device) and device.vault.get(OWN_RECORDS, ROLLED_BACK_RECORD) is None:
        with device.vault.transaction():
            stamp_and_list_shared_records(device)


def change_stamp_of(key: str, device: Device) -> ChangeStamp | None:
    return CHANGE_STAMP_TABLE.load(key, device.vault)


def store_change_stamp(key: str, stamp: ChangeStamp, device: Device) -> None:
    CHANGE_STAMP_TABLE.store(stamp, key, device.vault)


def is_known_blocked(person: PersonId, device: Device) -> bool:
    """Check whether the newest block record about a person says that the person is blocked.

    The person need not be a contact.
    """
    said = SharedBlock(person, _EARLIEST_TIME, blocked=True)
    stamp = change_stamp_of(shared_record_key(said), device)
    return stamp is not None and stamp.digest == shared_record_digest(said)


def _with_stamp(key: str, shared: SharedRecord, now: datetime, device: Device) -> SharedRecord:
    stamp, digest = change_stamp_of(key, device), shared_record_digest(shared)
    if stamp is None or stamp.digest != digest:
        stamp = ChangeStamp(_new_change_time(shared, stamp, now), digest)
        store_change_stamp(key, stamp, device)
    return replace(shared, at=stamp.at)


def _new_change_time(shared: SharedRecord, before: ChangeStamp | None, now: datetime) -> datetime:
    """Return the time of a change: now, but at least one second after the previous change.

    The record of somebody who was never blocked is dated 1970, so that it undoes no block.
    """
    if before is not None:
        after = before.at + timedelta(seconds=1) if before.at < _LATEST_TIME else before.at
        return max(now, after)
    never_blocked = isinstance(shared, SharedBlock) and not shared.blocked
    return _EARLIEST_TIME if never_blocked else now


def _current_records(now: datetime, device: Device) -> Iterator[SharedRecord]:
    known = tuple(CONTACT_TABLE.all(device.vault))
    yield from (_contact_record(one, now, device) for one in known)
    yield from (SharedBlock(one.person.id, now, one.blocked) for one in known)
    for circle in circles(device.vault):
        yield SharedCircle(circle.id, now, circle.name, circle.people, circle.made_at)
    me = own_device(device)
    if len(me.person.devices) > _DEVICES_NEEDING_NO_SELF_RECORD_MAX:
        yield _record_about_self(me.person, now)
    if me.home.close is not None:
        yield SharedCloseToken(me.key.device, now, own_name(device), me.home.close)
    several = SharedMailboxes(me.key.device, now, own_mailboxes_to_announce(device))
    if len(several.homes) > 1 or change_stamp_of(shared_record_key(several), device) is not None:
        yield several


def _contact_record(contact: Contact, now: datetime, device: Device) -> SharedContact:
    known = DEVICE_LIST_TABLE.load(contact.person.id.hex(), device.vault)
    return SharedContact(
        person=contact.person.id,
        at=now,
        name=contact.name,
        trust=contact.trust,
        since=contact.since,
        card=b"" if known is None else known.card,
        receipts=contact.receipts,
    )


def _record_about_self(us: Person, now: datetime) -> SharedContact:
    """Return a record about ourselves.

    When the record is sent to another device of ours, it also carries tokens, lent to that device,
    for writing to our other devices. So two devices of ours can write to each other although
    neither linked the other.
    """
    return SharedContact(us.id, now, us.name, Trust.COMPARED, since=_EARLIEST_TIME, card=b"")


def _deletion_record(key: str, now: datetime) -> SharedRecord:
    what, _, name = key.partition(" ")
    if what == _CIRCLE_KEY_PREFIX.strip():
        return SharedCircle(CircleId(bytes.fromhex(name)), now, None, (), _EARLIEST_TIME)
    return SharedForgottenContact(PersonId(bytes.fromhex(name)), now)
