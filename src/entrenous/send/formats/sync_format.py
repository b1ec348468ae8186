"""The records that a person's linked devices exchange, as CBOR (docs/spec/devices.md section 5)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from entrenous.base.errors import Malformed
from entrenous.base.identifiers import ID_BYTES, DeviceId, MailboxId, PersonId
from entrenous.base.identity import Trust
from entrenous.base.limits import (
    CIRCLE_PEOPLE_MAX,
    DEVICES_MAX,
    MAILBOXES_PER_DEVICE_MAX,
    PLAIN_KEY_BUNDLE_BYTES_MAX,
    TOKEN_BYTES,
)
from entrenous.base.secret import Secret
from entrenous.send.devices.linked_devices import LinkedMailbox, MailboxUse
from entrenous.send.formats.linking import lent_token_fields, parse_lent_tokens
from entrenous.send.formats.message_format import parse_device_id, parse_person_id
from entrenous.send.letter.letter_nouns import SyncNote, SyncTopic
from entrenous.send.people.circles import CircleId
from entrenous.send.tokens.token_ranges import LentToken
from entrenous.wire.cbor import (
    BadCbor,
    as_bytes,
    as_bytes_up_to,
    as_list,
    as_time,
    as_uint,
    bad_cbor_as,
    decode,
    encode,
    encode_checked,
    parse_optional,
    to_unix_seconds,
)
from entrenous.wire.text import as_name, as_relay_url


@dataclass(frozen=True, slots=True)
class SharedContact:
    """A contact. ``lent`` are send tokens that the receiving device may use for its first letters
    to each of the contact's devices.
    """

    person: PersonId
    at: datetime
    name: str
    trust: Trust
    since: datetime
    card: bytes
    receipts: bool | None = None
    lent: tuple[tuple[DeviceId, tuple[LentToken, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class SharedForgottenContact:
    """A contact was forgotten."""

    person: PersonId
    at: datetime


@dataclass(frozen=True, slots=True)
class SharedCircle:
    """A circle. If ``name`` is None, the circle was deleted."""

    id: CircleId
    at: datetime
    name: str | None
    people: tuple[PersonId, ...]
    made_at: datetime


@dataclass(frozen=True, slots=True)
class SharedCloseToken:
    """The sending device's name, and the token that deletes its mailbox."""

    device: DeviceId
    at: datetime
    name: str
    close: Secret


@dataclass(frozen=True, slots=True)
class SharedBlock:
    """A person was blocked or unblocked."""

    person: PersonId
    at: datetime
    blocked: bool


@dataclass(frozen=True, slots=True)
class SharedMailboxes:
    """All mailboxes of the sending device: current ones, former ones, and those to which it may
    move.
    """

    device: DeviceId
    at: datetime
    homes: tuple[LinkedMailbox, ...]


SharedRecord = (
    SharedContact
    | SharedForgottenContact
    | SharedCircle
    | SharedCloseToken
    | SharedBlock
    | SharedMailboxes
)


class BadSync(Malformed):
    """
    Another device of yours sent data that this device cannot read, so the data was ignored. Update
    Entrenous on both devices: {update}
    """


_ZERO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: The positions are part of the wire format.
_TRUST_BY_NUMBER: Final = (Trust.UNKNOWN, Trust.BY_LINK, Trust.COMPARED)


def write_sync_note(shared: SharedRecord) -> SyncNote:
    """Encode a note.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    topic = _TOPIC_BY_RECORD_TYPE[type(shared)]
    data = encode_checked(
        _record_fields(shared), lambda encoded: read_sync_note(SyncNote(topic, encoded))
    )
    return SyncNote(topic, data)


def read_sync_note(untrusted: SyncNote) -> SharedRecord:
    """Decode a note.

    Raises:
        BadSync: the note has an invalid form.
    """
    with bad_cbor_as(BadSync):
        return _PARSER_BY_TOPIC[untrusted.topic](decode(untrusted.data))


def comparable_form(shared: SharedRecord) -> bytes:
    """Encode the part of a record whose changes have to be sent in a new note.

    The time, the lent tokens and the key bundle are left out. Each contact sends their own key
    bundle.
    """
    timeless = replace(shared, at=_ZERO_TIME)
    if isinstance(timeless, SharedContact):
        timeless = replace(timeless, card=b"", lent=())
    return bytes([_TOPIC_BY_RECORD_TYPE[type(timeless)]]) + encode(_record_fields(timeless))


def _record_fields(shared: SharedRecord) -> list[object]:
    match shared:
        case SharedContact():
            lent = [[device, lent_token_fields(tokens)] for device, tokens in shared.lent]
            return [
                *(
                    shared.person,
                    to_unix_seconds(shared.at),
                    shared.name,
                    _TRUST_BY_NUMBER.index(shared.trust),
                ),
                *(to_unix_seconds(shared.since), shared.card, lent),
                None if shared.receipts is None else int(shared.receipts),
            ]
        case SharedForgottenContact():
            return [shared.person, to_unix_seconds(shared.at)]
        case SharedCircle():
            made_at = to_unix_seconds(shared.made_at)
            return [
                shared.id,
                to_unix_seconds(shared.at),
                shared.name,
                list(shared.people),
                made_at,
            ]
        case SharedCloseToken():
            return [shared.device, to_unix_seconds(shared.at), shared.name, shared.close.reveal()]
        case SharedBlock():
            return [shared.person, to_unix_seconds(shared.at), int(shared.blocked)]
        case SharedMailboxes():
            homes = [
                [home.relay_url, home.mailbox, home.close.reveal(), int(home.what)]
                for home in shared.homes
            ]
            return [shared.device, to_unix_seconds(shared.at), homes]


def _parse_contact(value: Any) -> SharedContact:
    person, at, name, trust, since, card, lent, receipts = as_list(value, 8, 8)
    return SharedContact(
        person=parse_person_id(person),
        at=as_time(at),
        name=as_name(name),
        trust=_TRUST_BY_NUMBER[as_uint(trust, len(_TRUST_BY_NUMBER) - 1)],
        since=as_time(since),
        card=as_bytes_up_to(card, PLAIN_KEY_BUNDLE_BYTES_MAX),
        receipts=parse_optional(receipts, _parse_flag),
        lent=tuple(map(_parse_lent_tokens, as_list(lent, 0, DEVICES_MAX))),
    )


def _parse_forgotten_contact(value: Any) -> SharedForgottenContact:
    person, at = as_list(value, 2, 2)
    return SharedForgottenContact(parse_person_id(person), as_time(at))


def _parse_circle(value: Any) -> SharedCircle:
    circle, at, name, people, made_at = as_list(value, 5, 5)
    members = tuple(map(parse_person_id, as_list(people, 0, CIRCLE_PEOPLE_MAX)))
    if any(one >= after for one, after in pairwise(members)):
        raise BadCbor
    circle_name = parse_optional(name, as_name)
    return SharedCircle(
        id=CircleId(as_bytes(circle, ID_BYTES)),
        at=as_time(at),
        name=circle_name,
        people=members,
        made_at=as_time(made_at),
    )


def _parse_close_token(value: Any) -> SharedCloseToken:
    device, at, name, close = as_list(value, 4, 4)
    token = Secret(as_bytes(close, TOKEN_BYTES))
    return SharedCloseToken(parse_device_id(device), as_time(at), as_name(name), token)


def _parse_block(value: Any) -> SharedBlock:
    person, at, blocked = as_list(value, 3, 3)
    return SharedBlock(parse_person_id(person), as_time(at), _parse_flag(blocked))


def _parse_mailboxes(value: Any) -> SharedMailboxes:
    device, at, homes = as_list(value, 3, 3)
    every = tuple(map(_parse_mailbox, as_list(homes, 1, MAILBOXES_PER_DEVICE_MAX)))
    if len({home.mailbox for home in every}) < len(every):
        raise BadCbor
    return SharedMailboxes(parse_device_id(device), as_time(at), every)


def _parse_mailbox(entry: Any) -> LinkedMailbox:
    url, mailbox, close, what = as_list(entry, 4, 4)
    return LinkedMailbox(
        relay_url=as_relay_url(url),
        mailbox=MailboxId(as_bytes(mailbox, ID_BYTES)),
        close=Secret(as_bytes(close, TOKEN_BYTES)),
        what=MailboxUse(as_uint(what, max(MailboxUse))),
    )


def _parse_lent_tokens(entry: Any) -> Any:
    device, tokens = as_list(entry, 2, 2)
    return parse_device_id(device), parse_lent_tokens(tokens)


def _parse_flag(value: object) -> bool:
    return bool(as_uint(value, 1))


_TOPIC_BY_RECORD_TYPE: Final[Mapping[type[SharedRecord], SyncTopic]] = {
    SharedContact: SyncTopic.CONTACT,
    SharedForgottenContact: SyncTopic.CONTACT_GONE,
    SharedCircle: SyncTopic.CIRCLE,
    SharedCloseToken: SyncTopic.CLOSE_TOKEN,
    SharedBlock: SyncTopic.BLOCKED,
    SharedMailboxes: SyncTopic.MAILBOXES,
}
_PARSER_BY_TOPIC: Final[Mapping[SyncTopic, Callable[[Any], SharedRecord]]] = {
    SyncTopic.CONTACT: _parse_contact,
    SyncTopic.CONTACT_GONE: _parse_forgotten_contact,
    SyncTopic.CIRCLE: _parse_circle,
    SyncTopic.CLOSE_TOKEN: _parse_close_token,
    SyncTopic.BLOCKED: _parse_block,
    SyncTopic.MAILBOXES: _parse_mailboxes,
}
