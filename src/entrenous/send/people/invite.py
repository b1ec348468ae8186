"""Invites: make a link, add a person by their link, exchange greetings
(docs/spec/identity.md, section 6); and notices of people who joined by a link or came too late.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.base.errors import EntrenousError, NoPrekeys, TooMany, Unreachable
from entrenous.base.identifiers import DeviceId, EnvelopeId, PersonId
from entrenous.base.identity import (
    BadSignature,
    Contact,
    DeviceListHistoryRelation,
    ForkedDeviceList,
    OutdatedDeviceList,
    Person,
    Trust,
)
from entrenous.base.limits import (
    EXPIRY_DAYS_MAX,
    INVITE_DAYS,
    INVITE_PEOPLE_MAX,
    INVITE_USES_PER_PERSON,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time, token_hash
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.crypto.statements import verify_key_bundle
from entrenous.device.device import Device
from entrenous.device.identities import (
    CONTACT_TABLE,
    AddressOnThisMachine,
    contacts,
    own_device,
    refuse_loopback_relay,
    store_known_key_bundle,
)
from entrenous.device.vault_tables import (
    INVITE_USE_TO_ANSWER,
)
from entrenous.send.clock_sanity import now_in_whole_seconds, time_certainly_passed
from entrenous.send.devices.device_lists import (
    accept_contact_bundle,
    forget_devices,
    freeze_contact,
    removed_devices,
)
from entrenous.send.devices.own_key_bundle import open_key_bundle
from entrenous.send.devices.sync_records import record_change_times
from entrenous.send.devices.sync_send import mark_contact_for_resync
from entrenous.send.flush import flush_outbox
from entrenous.send.formats.identity_formats import read_invite_link, write_invite_link
from entrenous.send.letter.letter_nouns import Header, Hello, UsedUpLinkNote
from entrenous.send.letter.sessions import begin_new_session, ensure_sessions
from entrenous.send.letter.write import (
    Addressee,
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.people.contact_history import (
    add_notice_unless_full,
    record_contact_change,
    take_all_notices,
)
from entrenous.send.people.keep_contacts import (
    compare_key_bundle,
    contact_by_id,
    forget_contact,
    free_contact_name,
    refuse_bad_name,
    store_contact,
)
from entrenous.send.people.people_nouns import (
    INVITE_NOTICE_TABLE,
    INVITE_TABLE,
    ContradictoryLists,
    Invite,
    InviteEvent,
    InviteKeysDiffer,
    InviteLinkIsYourOwn,
    InviteNotice,
    IssuedInviteLink,
    NameTaken,
)
from entrenous.send.people.similar_names import are_names_similar
from entrenous.send.set_up import finish_set_up
from entrenous.send.tokens.distribute import queue_greeting
from entrenous.send.tokens.use import (
    forget_held_tokens,
    has_tokens_for,
    has_valid_ranges_from,
    lacks_token_range,
    receive_range,
    use_invite_token_for,
)
from entrenous.wire.key_bundle import read_key_bundle
from entrenous.wire.relay_nouns import SendToken


def make_invite_link(device: Device, *, name: str | None = None, people: int = 1) -> str:
    """Make a link that lets up to ``people`` (1 to 64) people write to us (docs/spec/identity.md,
    section 6). With a ``name``, the link is for one person, who gets that name here.

    Raises:
        BadName, NameTaken, DeviceWithoutRelay, RelayUnreachable.
    """
    if not 1 <= people <= (INVITE_PEOPLE_MAX if name is None else 1):
        raise ValueError("a link is for 1 to 64 people, and one with a name for one")
    if name is not None:
        _refuse_bad_or_taken_name(name, device)
    finish_set_up(device)
    me = own_device(device)
    token = Secret(device.random_source.token(32))
    expires_at = now_in_whole_seconds(device) + timedelta(days=INVITE_DAYS)
    registered = SendToken(token_hash(token), INVITE_USES_PER_PERSON * people, expires_at)
    device.courier.register_token(me.home.relay_url, me.home.mailbox, me.home.owner, registered)
    delete_expired_invite_links(device)
    store_invite_link(IssuedInviteLink(registered, people, name), device)
    return write_invite_link(
        Invite(me.name, me.home.relay_url, me.home.mailbox, me.person.id, token)
    )


def add_person(link: str, name: str, device: Device) -> Contact:
    """Add the owner of an invite link as a contact "known by link" (only the link vouches for the
    keys), and send them our tokens. Somebody whose keys we compared earlier stays "compared".

    Raises:
        BadInvite, BadName, NameTaken, InviteLinkIsYourOwn, InviteKeysDiffer, OutdatedDeviceList,
        ForkedDeviceList, BadSignature, WrongToken, AddressOnThisMachine, RelayUnreachable.
        ContradictoryLists: the person is a contact whose device lists contradict each other, so the
            link could lead to the wrong list. The user must compare keys or forget the contact.
    """
    invite = read_invite_link(link.strip())
    refuse_bad_name(name)
    if equal_in_constant_time(invite.person, own_device(device).person.id):
        raise InviteLinkIsYourOwn
    known = contact_by_id(invite.person, device)
    if known is not None and known.forked:
        raise ContradictoryLists(name=known.name)
    card = _fetch_inviter_bundle(invite, device)
    person = _verify_inviter(card, invite, device)
    contact = Contact(name, person, invite.token, Trust.BY_LINK, since=now_in_whole_seconds(device))
    if known is not None:
        trust = _trust_after_readding(known, card, device)
        contact = replace(known, name=name, person=person, send_token=invite.token, trust=trust)
        contact = replace(contact, blocked=False)
    through = _device_of_invite(invite, person)
    keeps = known is not None and has_valid_ranges_from(contact, through, device)
    with device.vault.transaction():
        if known is not None:
            contact = record_contact_change(known, contact, device)
            forget_devices(person.id, removed_devices(known.person, person), device)
        if not keeps:  # also for a known contact, who may have forgotten us and revoked our tokens
            use_invite_token_for(person.id, through, invite.token, device)
        store_contact(contact, device)
        store_known_key_bundle(person.id, card, device)
        if known is not None:
            _begin_new_sessions(contact, device)
            mark_contact_for_resync(person.id, device)
        hellos = queue_hellos(contact, token_hash(invite.token), device)
        record_change_times(device)
    stayed = flush_outbox(device).stayed
    for hello in hellos:
        if hello in stayed:
            raise stayed[hello]
    return contact


def _trust_after_readding(known: Contact, card: bytes, device: Device) -> Trust:
    """Return the trust of a contact who is added again, with this verified card.

    The link names the same master key, so compared keys stay compared, unless the history of device
    lists that the relay shows begins after the known list. If it contradicts the known list, the
    contact is frozen.

    Raises:
        OutdatedDeviceList, ForkedDeviceList, BadSignature.
    """
    try:
        standing = compare_key_bundle(read_key_bundle(card), known, device)
    except ForkedDeviceList as fork:
        with device.vault.transaction():
            freeze_contact(fork, device)
        raise
    if known.compared and standing is not DeviceListHistoryRelation.NEWER_UNPROVEN:
        return Trust.COMPARED
    return Trust.BY_LINK


def _refuse_bad_or_taken_name(name: str, device: Device) -> None:
    refuse_bad_name(name)
    if free_contact_name(name, device) != name:
        raise NameTaken(name=name)


def queue_hellos(
    contact: Contact, invite_lock: bytes | None, device: Device
) -> tuple[EnvelopeId, ...]:
    """Queue a hello, which hands out tokens, for each device of a contact for which we have a token
    and can have a session. Return the ids of the envelopes.
    """
    reachable = (
        to for to in addressees(contact, device) if has_tokens_for(contact, to.key.device, device)
    )
    return tuple(
        queue_greeting(to, invite_lock, device) for to in ensure_sessions(reachable, device)
    )


def _begin_new_sessions(contact: Contact, device: Device) -> None:
    """Begin new sessions with the devices for which we have tokens: a person who forgot us has
    deleted the old sessions.
    """
    for to in addressees(contact, device):
        if has_tokens_for(contact, to.key.device, device):
            begin_new_session(to, device)


def accept_hello(
    hello: Hello, person: Person, link: IssuedInviteLink | None, device: Device
) -> Contact:
    """Accept a hello: store the sender's newest key bundle. The tokens in the hello are stored
    elsewhere (:func:`.receive_range`).

    A new sender who used a link of ours counts as known by link. They get the name for which the
    link was made or, if it has none, the name that they use for themselves.

    Raises:
        ForkedDeviceList, AddressOnThisMachine.
    """
    refuse_loopback_relay(person.relay_url, device)
    known = contact_by_id(person.id, device)
    if known is not None:
        try:
            return accept_contact_bundle(known, hello.card, device)
        except OutdatedDeviceList:
            # the letter is from a device of theirs that does not have the newest list yet
            return known
    meant = None if link is None else link.name
    name, token = (
        free_contact_name(meant or person.name, device),
        derive_send_token(hello.seed, hello.first),
    )
    trust = Trust.UNKNOWN if link is None else Trust.BY_LINK
    contact = Contact(name, person, token, trust, since=now_in_whole_seconds(device))
    store_contact(contact, device)
    store_known_key_bundle(person.id, hello.card, device)
    return contact


def greet_invited_people(device: Device) -> None:
    """Greet the people who used an invite of ours; retry next time if their relay is unavailable.

    This runs outside the transaction that accepts a hello, so that a wrong relay address in the
    hello cannot delay later letters.
    """
    for person, _ in list(device.vault.items(INVITE_USE_TO_ANSWER)):
        with suppress(Unreachable, TooMany, NoPrekeys):
            _greet_invited_person(person, device)


def _greet_invited_person(person: str, device: Device) -> None:
    contact = CONTACT_TABLE.load(person, device.vault)
    if contact is not None and contact.forked:
        return  # retried when their lists agree again
    try:
        with device.vault.transaction():
            if contact is not None:
                queue_hellos(contact, None, device)
            device.vault.drop(INVITE_USE_TO_ANSWER, person)
    except (Unreachable, TooMany, NoPrekeys):
        raise
    except EntrenousError:
        device.vault.drop(
            INVITE_USE_TO_ANSWER, person
        )  # their keys or their address will never be valid


def _device_of_invite(invite: Invite, person: Person) -> DeviceId:
    """Return the device whose mailbox an invite opens.

    Raises:
        InviteKeysDiffer: no device of theirs has that mailbox.
    """
    for key in person.devices:
        if key.mailbox == invite.mailbox:
            return key.device
    raise InviteKeysDiffer


def _fetch_inviter_bundle(invite: Invite, device: Device) -> bytes:
    refuse_loopback_relay(invite.relay_url, device)
    untrusted_shown = device.courier.key_bundle(invite.relay_url, invite.mailbox, invite.token)
    return open_key_bundle(untrusted_shown, invite.person, invite.mailbox)


def _verify_inviter(untrusted_card: bytes, invite: Invite, device: Device) -> Person:
    try:
        person = verify_key_bundle(read_key_bundle(untrusted_card))
    except BadSignature:
        raise InviteKeysDiffer from None
    if not equal_in_constant_time(person.id, invite.person):
        raise InviteKeysDiffer
    refuse_loopback_relay(person.relay_url, device)
    return person


_LETTER_LIFETIME: Final = timedelta(days=EXPIRY_DAYS_MAX)  # how long a relay keeps a letter
_REFUSALS_PER_LINK_MAX: Final = 64  # per link; an honest relay admits only a few letters


def store_invite_link(link: IssuedInviteLink, device: Device) -> None:
    INVITE_TABLE.store(link, link.token.lock.hex(), device.vault)


def invite_link_by_token_hash(lock: bytes, device: Device) -> IssuedInviteLink | None:
    """Return this device's link with that token hash; None if there is none, or if no hello that
    was sent in time can still arrive.
    """
    made = INVITE_TABLE.load(lock.hex(), device.vault)
    return None if made is None or _has_link_expired(made, device) else made


def delete_expired_invite_links(device: Device) -> None:
    """Delete links that no hello can use any more."""
    for made in INVITE_TABLE.all(device.vault):
        if _has_link_expired(made, device):
            INVITE_TABLE.drop(made.token.lock.hex(), device.vault)


def record_person_joined(
    link: IssuedInviteLink, contact: Contact, device_id: DeviceId, device: Device
) -> None:
    """Count a use, and record a notice, in the transaction that accepts the person."""
    before = _names_that_used_link(link, device)
    store_invite_link(replace(link, used_by=(*link.used_by, contact.person.id)), device)
    notice = _invite_notice(InviteEvent.JOINED, contact.name, contact.person, device_id, device)
    add_notice_unless_full(
        replace(notice, meant_for=link.name, before=before), INVITE_NOTICE_TABLE, device
    )


def refuse_used_up_link(
    link: IssuedInviteLink, hello: Hello, person: Person, header: Header, device: Device
) -> None:
    """Refuse a person whose link was used up, with one notice to each side.

    If the link was for one person, the person who used it becomes "unknown" unless keys were
    compared: two people had the link, and it is unclear who was meant. Call it in the transaction
    that opens their hello.
    """
    if person.id in link.refused or len(link.refused) >= _REFUSALS_PER_LINK_MAX:
        return
    store_invite_link(replace(link, refused=(*link.refused, person.id)), device)
    if link.uses == 1:
        _downgrade_link_trust(link.used_by[0], device)
    notice = _invite_notice(InviteEvent.REFUSED, person.name, person, header.from_device, device)
    notice = replace(
        notice, meant_for=link.name, before=_names_that_used_link(link, device), alike=()
    )
    add_notice_unless_full(replace(notice, for_one=link.uses == 1), INVITE_NOTICE_TABLE, device)
    with suppress(AddressOnThisMachine):
        refuse_loopback_relay(person.relay_url, device)
        _reply_that_link_is_used_up(hello, person, header, device)


def forget_contact_of_used_up_link(note: UsedUpLinkNote, contact: Contact, device: Device) -> None:
    """Forget a contact whose link was used up before our hello arrived, and record a notice.

    The note is ignored if the contact has sent us tokens, or if it is about another link.
    """
    knows_us = not all(
        lacks_token_range(contact.person.id, key.device, device) for key in contact.person.devices
    )
    if knows_us or not equal_in_constant_time(note.invite_lock, token_hash(contact.send_token)):
        return
    now, own_name = now_in_whole_seconds(device), contact.person.name
    add_notice_unless_full(
        InviteNotice(InviteEvent.TOO_LATE, now, contact.name, own_name), INVITE_NOTICE_TABLE, device
    )
    forget_contact(contact.name, device)


def record_joined_on_other_device(contact: Contact, device: Device) -> None:
    """Record a notice that another device of ours added a person by a link."""
    first = min(contact.person.devices, key=lambda key: key.created_at)
    notice = _invite_notice(
        InviteEvent.ELSEWHERE, contact.name, contact.person, first.device, device
    )
    add_notice_unless_full(notice, INVITE_NOTICE_TABLE, device)


def similar_contact_names(name: str, person: PersonId, device: Device) -> tuple[str, ...]:
    """Return the other contacts' names that are easily mistaken for this one."""
    others = (one.name for one in contacts(device) if one.person.id != person)
    return tuple(other for other in others if are_names_similar(name, other))


def take_invite_notices(device: Device) -> tuple[InviteNotice, ...]:
    """Return the notices not shown yet, oldest first, and remove them."""
    return take_all_notices(INVITE_NOTICE_TABLE, device)


def _invite_notice(
    event: InviteEvent, name: str, person: Person, device_id: DeviceId, device: Device
) -> InviteNotice:
    made_at = next((key.created_at for key in person.devices if key.device == device_id), None)
    return InviteNotice(
        event=event,
        at=now_in_whole_seconds(device),
        name=name,
        called=person.name,
        device=device_id,
        made_at=made_at,
        alike=similar_contact_names(name, person.id, device),
    )


def _downgrade_link_trust(person: PersonId, device: Device) -> None:
    contact = contact_by_id(person, device)
    if contact is not None and contact.trust is Trust.BY_LINK:
        store_contact(replace(contact, trust=Trust.UNKNOWN), device)


def _reply_that_link_is_used_up(
    hello: Hello, person: Person, header: Header, device: Device
) -> None:
    """Reply in the session that their hello began, then delete their tokens."""
    now, first = now_in_whole_seconds(device), derive_send_token(hello.seed, hello.first)
    stranger = Contact(person.name, person, first, Trust.UNKNOWN, now)
    key = next(key for key in person.devices if key.device == header.from_device)
    receive_range(header, hello.seed, hello.first, device)
    note = UsedUpLinkNote(hello.invite_lock or b"")
    seal_and_queue_letter(
        note, Addressee(stranger, key), outer_parts_without_content(device), device
    )
    forget_held_tokens(person.id, device)


def _names_that_used_link(link: IssuedInviteLink, device: Device) -> tuple[str, ...]:
    known = (contact_by_id(person, device) for person in link.used_by)
    return tuple(one.name for one in known if one is not None)


def _has_link_expired(link: IssuedInviteLink, device: Device) -> bool:
    over = link.token.expires_at
    return over is not None and time_certainly_passed(device) > over + _LETTER_LIFETIME
