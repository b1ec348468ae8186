"""Each contact's history: when their devices were last heard from, the latest messages to them, and
changes of their keys.

The guard (the checks before a message is sent, send/guard.py) uses this history. A key change is
recorded when it is seen, and reported once (docs/spec/people.md, section 4).
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from entrenous.base.copies import Copy
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import DeviceId, MessageId, PersonId
from entrenous.base.identity import BadPrekey, CertifiedDevice, Contact, Trust
from entrenous.crypto.statements import verify_prekey
from entrenous.device.device import Device, Vault
from entrenous.device.identities import CONTACT_TABLE
from entrenous.device.sent_messages import Message
from entrenous.device.vault_tables import (
    LAST_HEARD,
    OWN_RECORDS,
    SENT_RECORD,
    Table,
    peer_key,
)
from entrenous.send.clock_sanity import is_recent, now_in_whole_seconds
from entrenous.send.formats.identity_formats import read_prekey
from entrenous.send.people.people_nouns import (
    CONTACT_CHANGE_TABLE,
    ContactChange,
    DeviceListContradiction,
    FollowedMoveState,
)
from entrenous.send.tokens.use import next_token_for, token_route_to


@dataclass(frozen=True, slots=True)
class SentRecord:
    """One message that we sent to one person.

    ``devices`` got it, and ``trust`` is the contact's trust at the time. ``media`` says whether
    this message, or an earlier one at the same trust, had a picture, clip or voice note.
    ``asked_at`` is when the guard last asked about a silent device of the person.
    """

    at: datetime
    message: MessageId
    devices: frozenset[DeviceId]
    trust: Trust
    media: bool = False
    asked_at: datetime | None = None


SENT_RECORD_TABLE: Final = Table(SENT_RECORD, SentRecord)


@dataclass(frozen=True, slots=True)
class LastHeard:
    """When a device was last heard from, and when its relay was last asked about it."""

    at: datetime
    looked_at: datetime | None = None


LAST_HEARD_TABLE: Final = Table(LAST_HEARD, LastHeard)


_PREKEY_QUERY_INTERVAL: Final = timedelta(hours=24)  # each query uses up one of their one-time keys


def record_heard_from(person: PersonId, key: DeviceId, device: Device) -> None:
    LAST_HEARD_TABLE.store(LastHeard(device.clock.now()), peer_key(person, key), device.vault)


def last_heard_at(contact: Contact, key: CertifiedDevice, device: Device) -> datetime:
    """Return when a device was last heard from, by letter or by prekey. If it never was, return
    when the device was set up or when its owner became a contact, whichever was later.
    """
    whose, now = peer_key(contact.person.id, key.device), device.clock.now()
    heard = LAST_HEARD_TABLE.load(whose, device.vault)
    times = [contact.since, key.created_at, *([] if heard is None else [heard.at])]
    # a time in the future was recorded by a clock that was ahead
    past = [one for one in times if one <= now]
    return max(past, default=max(times))


def update_last_heard_from_prekey(contact: Contact, key: CertifiedDevice, device: Device) -> None:
    """Ask a contact's relay when the device's newest X-Wing prekey was made, and record the answer.
    The relay is asked at most once in 24 hours.

    A running device replaces that prekey every week (docs/spec/identity.md section 5). If the relay
    does not answer or shows an old prekey, only the time of the question is recorded.
    """
    whose, now = peer_key(contact.person.id, key.device), device.clock.now()
    heard = LAST_HEARD_TABLE.load(whose, device.vault)
    looked_at = None if heard is None else heard.looked_at
    if looked_at is not None and is_recent(looked_at, _PREKEY_QUERY_INTERVAL, device):
        return
    at = last_heard_at(contact, key, device)
    with suppress(EntrenousError):
        at = max(at, min(now, _claim_newest_prekey_date(contact, key, device)))
    LAST_HEARD_TABLE.store(LastHeard(at, now), whose, device.vault)


def forget_last_heard(person: PersonId, vault: Vault) -> None:
    for key in LAST_HEARD_TABLE.keys(vault, person.hex()):
        LAST_HEARD_TABLE.drop(key, vault)


def _claim_newest_prekey_date(contact: Contact, key: CertifiedDevice, device: Device) -> datetime:
    token = next_token_for(contact, key.device, device)
    url, mailbox = token_route_to(contact.person, key, device)
    bundle = device.courier.claim_prekeys(url, mailbox, token, key.device)
    signed = read_prekey(bundle.xwing)
    if signed.batch is None:
        raise BadPrekey
    verify_prekey(signed, signed.batch, key, mailbox)
    return signed.prekey.made_at


# several are kept, so that an earlier one remains when some messages are cancelled
_SENT_RECORDS_PER_PERSON_MAX: Final = 5
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# set once records of the messages that were in the ledger without one were added
_OLDER_MESSAGES_INDEXED_KEY: Final = "talks-indexed"


def latest_messages_sent_to(person: PersonId, device: Device) -> tuple[SentRecord, ...]:
    """Return the latest few messages to a person, oldest first."""
    _index_older_messages_once(device)
    keys = SENT_RECORD_TABLE.keys(device.vault, _sent_record_prefix(person))
    found = (SENT_RECORD_TABLE.load(key, device.vault) for key in keys)
    return tuple(sent_record for sent_record in found if sent_record is not None)


def add_sent_record(person: PersonId, sent_record: SentRecord, device: Device) -> None:
    """Record a message to a person, in the transaction that records the message."""
    _index_older_messages_once(device)
    _store_sent_record(person, sent_record, device.vault)


def forget_sent_records(person: PersonId, vault: Vault) -> None:
    """Delete the records of messages to a person. If added again, this person counts as new."""
    for key in SENT_RECORD_TABLE.keys(vault, _sent_record_prefix(person)):
        SENT_RECORD_TABLE.drop(key, vault)


def forget_sent_records_of_message(message: MessageId, device: Device) -> None:
    """Delete the record of a message that was cancelled before any of it was sent."""
    for key in SENT_RECORD_TABLE.keys(device.vault):
        if key.endswith(message.hex()):
            SENT_RECORD_TABLE.drop(key, device.vault)


def copies_of_media(message: Message) -> Iterator[Copy]:
    """Iterate over all copies made of a message's media."""
    for picture in message.pictures:
        yield from picture.copies
    for clip in message.clips:
        yield from clip.copies
    for sound in message.sounds:
        yield from sound.copies


def _index_older_messages_once(device: Device) -> None:
    """Add records of the messages that the ledger has without one (e.g. from an archive), once."""
    if device.vault.get(OWN_RECORDS, _OLDER_MESSAGES_INDEXED_KEY) is not None:
        return
    messages = tuple(device.ledger.messages())
    for message in messages:
        for person, sent_record in _sent_records_of(message, device.vault):
            _store_sent_record(person, sent_record, device.vault)
    if messages:
        device.vault.put(OWN_RECORDS, _OLDER_MESSAGES_INDEXED_KEY, b"")


def _sent_records_of(message: Message, vault: Vault) -> Iterator[tuple[PersonId, SentRecord]]:
    copies = tuple(copies_of_media(message))
    for person in {copy.person for copy in copies if copy.person is not None}:
        devices = {copy.device for copy in copies if copy.person == person}
        known = frozenset(one for one in devices if one is not None)
        contact = CONTACT_TABLE.load(person.hex(), vault)
        trust = Trust.UNKNOWN if contact is None else contact.trust
        yield person, SentRecord(message.sent_at, message.id, known, trust, media=True)


def _store_sent_record(person: PersonId, sent_record: SentRecord, vault: Vault) -> None:
    prefix = _sent_record_prefix(person)
    microseconds = (sent_record.at - _UNIX_EPOCH) // timedelta(microseconds=1)
    SENT_RECORD_TABLE.store(
        sent_record, f"{prefix}{microseconds:018d} {sent_record.message.hex()}", vault
    )
    for old in SENT_RECORD_TABLE.keys(vault, prefix)[:-_SENT_RECORDS_PER_PERSON_MAX]:
        SENT_RECORD_TABLE.drop(old, vault)


def _sent_record_prefix(person: PersonId) -> str:
    return f"{person.hex()} "


NoticeT = TypeVar("NoticeT")
# so that neither senders nor people with an invite link can fill the vault
_UNREPORTED_NOTICES_MAX: Final = 1000


def record_contact_change(before: Contact, after: Contact, device: Device) -> Contact:
    """Record a change of devices or trust, in the transaction that stores the contact.

    Returns: ``after``, with ``changed_at`` set if there was a change.
    """
    old = {key.id_and_keys for key in before.person.devices}
    new = {key.id_and_keys for key in after.person.devices}
    trust_lost = before.trust is not Trust.UNKNOWN and after.trust is Trust.UNKNOWN
    if old == new and not trust_lost:
        return after
    now = now_in_whole_seconds(device)
    changed = ContactChange(after.name, now, len(new - old), len(old - new), trust_lost)
    _store_change(changed, device)
    return replace(after, changed_at=now)


def record_device_list_contradiction(
    name: str | None, lists: DeviceListContradiction, device: Device
) -> None:
    """Record, to be reported once, that a contact's lists contradict each other.

    They are our own lists if the name is None.
    """
    _store_change(
        ContactChange(
            name or "", now_in_whole_seconds(device), 0, 0, trust_lost=False, lists=lists
        ),
        device,
    )


def record_renaming(was: str, name: str, device: Device) -> None:
    """Record, to be reported once, that a person or circle was renamed because another one has the
    same name.

    Call it in the transaction that renames.
    """
    _store_change(
        ContactChange(name, now_in_whole_seconds(device), 0, 0, trust_lost=False, was=was), device
    )


def record_move_progress(relay_url: str, moving: FollowedMoveState, device: Device) -> None:
    """Record, to be reported once, that this device follows another of ours to a new relay.

    Call this function in the transaction in which the device does so.
    """
    _store_change(
        ContactChange(
            relay_url, now_in_whole_seconds(device), 0, 0, trust_lost=False, moving=moving
        ),
        device,
    )


def take_contact_changes(device: Device) -> tuple[ContactChange, ...]:
    """Return the changes not reported yet, oldest first, and remove them."""
    return take_all_notices(CONTACT_CHANGE_TABLE, device)


def _store_change(changed: ContactChange, device: Device) -> None:
    add_notice_unless_full(changed, CONTACT_CHANGE_TABLE, device)


def add_notice_unless_full(notice: NoticeT, table: Table[NoticeT], device: Device) -> None:
    """Store a notice until it is shown, unless there are too many."""
    unreported = table.keys(device.vault)
    if len(unreported) < _UNREPORTED_NOTICES_MAX:
        number = int(unreported[-1]) + 1 if unreported else 0
        table.store(notice, f"{number:012d}", device.vault)


def take_all_notices(table: Table[NoticeT], device: Device) -> tuple[NoticeT, ...]:
    """Return a table's notices, oldest first, and remove them."""
    with device.vault.transaction():
        notices = tuple(table.all(device.vault))
        for key in table.keys(device.vault):
            table.drop(key, device.vault)
    return notices
