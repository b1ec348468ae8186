"""Invites: make a link, add the person whose link it is, greet and be greeted."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from entrenous.craft.crypto.hashing import lock_of, same
from entrenous.craft.crypto.statements import verify_card
from entrenous.craft.crypto.tokens import send_token
from entrenous.craft.wire.identity.card import read_card
from entrenous.craft.wire.identity.invite import read_invite, write_invite
from entrenous.model.device_list import OldList, Standing
from entrenous.model.envelope import SendToken
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.ids import DeviceId, EnvelopeId
from entrenous.model.made_link import MadeLink
from entrenous.model.notes import Hello
from entrenous.model.person import (
    BadSignature,
    Contact,
    Invite,
    NameTaken,
    NotTheirKeys,
    Person,
    ThatIsYou,
    Trust,
    TwoLists,
)
from entrenous.model.relay_problem import NoPrekeys, TooMany
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.acquaintance.links import drop_old_links, keep_link
from entrenous.send.acquaintance.people import contact_of, free_name, keep_contact, newest_card
from entrenous.send.devices.known_lists import keep_list
from entrenous.send.devices.lists.gone import forget_devices, left_behind
from entrenous.send.devices.lists.greet_devices import greet_one
from entrenous.send.devices.lists.outside import leads_outside
from entrenous.send.devices.lists.take_list import take_list
from entrenous.send.devices.self import who_am_i
from entrenous.send.devices.shown_card import seen_card
from entrenous.send.devices.sync.records import date_changes
from entrenous.send.devices.sync.tell import tell_anew
from entrenous.send.drawers import CONTACT, GREET, take
from entrenous.send.flush import flush
from entrenous.send.letter.sessions import begin_again, within_reach
from entrenous.send.letter.write import addressees
from entrenous.send.moment import this_second
from entrenous.send.naming import refuse_bad_name
from entrenous.send.setup import finish_set_up
from entrenous.send.tokens.holding import windows_hold
from entrenous.send.tokens.use import has_way, take_invite
from entrenous.spec import INVITE_DAYS, INVITE_PEOPLE_MAX, INVITE_USES


def make_invite(device: Device, *, name: str | None = None, people: int = 1) -> str:
    """A link by which so many ``people`` (1 to 64) can come in and write to us
    (docs/spec/identity.md 6). With a ``name``, it is for one, whom we call so from then on.

    Raises:
        BadName, NameTaken, OfflineDevice, RelayUnreachable.
    """
    if not 1 <= people <= (INVITE_PEOPLE_MAX if name is None else 1):
        raise ValueError("a link is for 1 to 64 people, and one with a name for one")
    if name is not None:
        _refuse_known_name(name, device)
    finish_set_up(device)
    me = who_am_i(device)
    token = Secret(device.dice.token(32))
    expires_at = this_second(device) + timedelta(days=INVITE_DAYS)
    registered = SendToken(lock_of(token), INVITE_USES * people, expires_at)
    device.courier.register_token(me.home.relay_url, me.home.mailbox, me.home.owner, registered)
    drop_old_links(device)
    keep_link(MadeLink(registered, people, name), device)
    return write_invite(Invite(me.name, me.home.relay_url, me.home.mailbox, me.person.id, token))


def add_person(link: str, name: str, device: Device) -> Contact:
    """Add the person whose link this is, known by link, and tell her how to write back.

    Somebody whose lists contradict each other is not added again before that is settled, or she is
    forgotten: her link could lead to the wrong one of both.

    Raises:
        BadInvite, BadName, NameTaken, ThatIsYou, TwoLists, NotTheirKeys, OldList, ForkedList,
        BadSignature, WrongToken, OnThisMachine, RelayUnreachable.
    """
    invite = read_invite(link.strip())
    refuse_bad_name(name)
    if same(invite.person, who_am_i(device).person.id):
        raise ThatIsYou
    known = contact_of(invite.person, device)
    if known is not None and known.forked:
        raise TwoLists(name=known.name)
    card = _card_of(invite, device)
    person = _person_of(card, invite, device)
    contact = Contact(name, person, invite.token, Trust.BY_LINK, since=this_second(device))
    if known is not None:
        trust = _trust_again(known, newest_card(read_card(card), known, device))
        contact = replace(known, name=name, person=person, send_token=invite.token, trust=trust)
        contact = replace(contact, blocked=False)
    through = _device_of(invite, person)
    keeps = known is not None and windows_hold(contact, through, device)
    with device.vault.together():
        if known is not None:
            forget_devices(person.id, left_behind(known.person, person), device)
        if not keeps:  # also when we knew her: she may have forgotten us, and what she had given us
            take_invite(person.id, through, invite.token, device)
        keep_contact(contact, device)
        keep_list(person.id, card, device)
        if known is not None:
            _begin_again(contact, device)
            tell_anew(person.id, device)
        hellos = greet(contact, lock_of(invite.token), device)
        date_changes(device)
    stayed = flush(device).stayed
    for hello in hellos:
        if hello in stayed:
            raise stayed[hello]
    return contact


def _trust_again(known: Contact, standing: Standing) -> Trust:
    """What is known of somebody's keys who is added again: the link names the same master key, so
    keys that were compared still are, unless her lists leave a gap.
    """
    if known.compared and standing is not Standing.NEWER_UNPROVEN:
        return Trust.COMPARED
    return Trust.BY_LINK


def _refuse_known_name(name: str, device: Device) -> None:
    refuse_bad_name(name)
    if free_name(name, device) != name:
        raise NameTaken(name=name)


def greet(contact: Contact, invite_lock: bytes | None, device: Device) -> tuple[EnvelopeId, ...]:
    """Lay a hello for each device of a contact that we have a way to into the outbox, with a
    window of tokens of its own.
    """
    ways = (to for to in addressees(contact, device) if has_way(contact, to.key.device, device))
    return tuple(greet_one(to, invite_lock, device) for to in within_reach(ways, device))


def _begin_again(contact: Contact, device: Device) -> None:
    """Who forgot us has forgotten the sessions too."""
    for to in addressees(contact, device):
        if has_way(contact, to.key.device, device):
            begin_again(to, device)


def be_greeted(hello: Hello, person: Person, made: MadeLink | None, device: Device) -> Contact:
    """Take in somebody's hello: her newest card. What it tells of tokens is not for here.

    Somebody new is known by link, and called as our link says; without that, as she calls herself.

    Raises:
        ForkedList, OnThisMachine.
    """
    leads_outside(person.relay_url, device)
    known = contact_of(person.id, device)
    if known is not None:
        try:
            return take_list(known, hello.card, device)
        except OldList:
            return known  # a device of hers that has not heard of the newest one yet
    meant = None if made is None else made.name
    name, token = free_name(meant or person.name, device), send_token(hello.seed, hello.first)
    trust = Trust.UNKNOWN if made is None else Trust.BY_LINK
    contact = Contact(name, person, token, trust, since=this_second(device))
    keep_contact(contact, device)
    keep_list(person.id, hello.card, device)
    return contact


def answer_greetings(device: Device) -> None:
    """Greet those who used an invite of ours. Whose relay can't be had now is greeted next time.

    Not in the transaction that takes their hello in: where they say that their relay is must not
    decide whether the letters behind it arrive.
    """
    for person, _ in list(device.vault.items(GREET)):
        with suppress(Unreachable, TooMany, NoPrekeys):
            _answer(person, device)


def _answer(person: str, device: Device) -> None:
    contact = take(Contact, CONTACT, person, device.vault)
    if contact is not None and contact.forked:
        return  # when their lists agree again
    try:
        with device.vault.together():
            if contact is not None:
                greet(contact, None, device)
            device.vault.drop(GREET, person)
    except (Unreachable, TooMany, NoPrekeys):
        raise
    except EntrenousError:
        device.vault.drop(GREET, person)  # their keys or their address will never do


def _device_of(invite: Invite, person: Person) -> DeviceId:
    """The device whose mailbox an invite opens.

    Raises:
        NotTheirKeys: none of hers has that mailbox.
    """
    for key in person.devices:
        if key.mailbox == invite.mailbox:
            return key.device
    raise NotTheirKeys


def _card_of(invite: Invite, device: Device) -> bytes:
    leads_outside(invite.relay_url, device)
    untrusted_shown = device.courier.card(invite.relay_url, invite.mailbox, invite.token)
    return seen_card(untrusted_shown, invite.person, invite.mailbox)


def _person_of(untrusted_card: bytes, invite: Invite, device: Device) -> Person:
    try:
        person = verify_card(read_card(untrusted_card))
    except BadSignature:
        raise NotTheirKeys from None
    if not same(person.id, invite.person):
        raise NotTheirKeys
    leads_outside(person.relay_url, device)
    return person
