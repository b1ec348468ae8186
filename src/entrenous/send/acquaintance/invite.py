"""Invites: make a link, add the person whose link it is, greet and be greeted."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from entrenous.craft.crypto.hashing import lock_of, same
from entrenous.craft.crypto.statements import verify_card
from entrenous.craft.crypto.tokens import send_token
from entrenous.craft.wire.identity.card import read_card
from entrenous.craft.wire.identity.invite import read_invite, write_invite
from entrenous.craft.wire.text import is_name, is_on_this_machine
from entrenous.model.device_list import Standing
from entrenous.model.envelope import NoPrekeys, SendToken, TooMany
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.ids import EnvelopeId
from entrenous.model.notes import Hello
from entrenous.model.person import (
    BadName,
    BadSignature,
    Contact,
    Invite,
    NotTheirKeys,
    OnThisMachine,
    Person,
    ThatIsYou,
)
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.acquaintance.notices import note_change
from entrenous.send.acquaintance.people import contact_of, free_name, keep_contact, newest_card
from entrenous.send.devices.known_lists import keep_list
from entrenous.send.devices.self import who_am_i
from entrenous.send.devices.shown_card import seen_card
from entrenous.send.drawers import CONTACT, GREET, INVITE, lay, take
from entrenous.send.letter.chores import promise_window
from entrenous.send.letter.sessions import have_session
from entrenous.send.letter.write import addressees, plain_outer, write_letter
from entrenous.send.moment import this_second
from entrenous.send.outbox import flush
from entrenous.send.setup import finish_set_up
from entrenous.spec import INVITE_DAYS, INVITE_USES


def make_invite(device: Device) -> str:
    """A link with which somebody can write to us, and be sure of our keys (docs/spec/identity.md
    6).

    Raises:
        OfflineDevice, RelayUnreachable.
    """
    finish_set_up(device)
    me = who_am_i(device)
    token = Secret(device.dice.token(32))
    expires_at = this_second(device) + timedelta(days=INVITE_DAYS)
    registered = SendToken(lock_of(token), INVITE_USES, expires_at)
    device.courier.register_token(me.home.relay_url, me.home.mailbox, me.home.owner, registered)
    lay(registered, INVITE, registered.lock.hex(), device.vault)
    return write_invite(Invite(me.name, me.home.relay_url, me.home.mailbox, me.person.id, token))


def add_person(link: str, name: str, device: Device) -> Contact:
    """Add the person whose link this is, and tell her how to write back.

    Raises:
        BadInvite, BadName, NameTaken, ThatIsYou, NotTheirKeys, OldList, ForkedList, BadSignature,
        WrongToken, OnThisMachine, RelayUnreachable.
    """
    invite = read_invite(link.strip())
    if not is_name(name):
        raise BadName
    if same(invite.person, who_am_i(device).person.id):
        raise ThatIsYou
    card = _card_of(invite, device)
    person = _person_of(card, invite, device)
    contact = Contact(name, person, invite.token, verified=True, since=this_second(device))
    known = contact_of(person.id, device)
    if known is not None:
        newest_card(read_card(card), known, device)
        contact = replace(known, name=name, person=person, verified=True, blocked=False)
    with device.vault.together():
        keep_contact(contact, device)
        keep_list(person.id, card, device)
        hellos = greet(contact, lock_of(invite.token), device)
    stayed = flush(device).stayed
    for hello in hellos:
        if hello in stayed:
            raise stayed[hello]
    return contact


def greet(contact: Contact, invite_lock: bytes | None, device: Device) -> tuple[EnvelopeId, ...]:
    """Lay a hello for each of the contact's devices into the outbox, with a token of their own."""
    me = who_am_i(device)
    hello = Hello(me.card, promise_window(contact.person.id, device), 0, invite_lock)
    envelopes = []
    for to in addressees(contact):
        have_session(to, device)
        outer = plain_outer(device)
        write_letter(hello, to, outer, device)
        envelopes.append(outer.envelope)
    return tuple(envelopes)


def be_greeted(hello: Hello, person: Person, device: Device) -> Contact:
    """Take in somebody's hello: her newest card, and the token with which we may write to her.

    She is not verified by this: the name is only what she calls herself. Nor does she stay so when
    what we knew of her list is older than what she shows of its history.

    Raises:
        OldList, ForkedList, OnThisMachine.
    """
    _leads_outside(person.relay_url, device)
    known = contact_of(person.id, device)
    token = send_token(hello.seed, hello.first)
    if known is None:
        name = free_name(person.name, device)
        contact = Contact(name, person, token, verified=False, since=this_second(device))
    else:
        standing = newest_card(read_card(hello.card), known, device)
        verified = known.verified and standing is not Standing.NEWER_UNPROVEN
        contact = replace(known, person=person, send_token=token, verified=verified)
        contact = note_change(known, contact, device)
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
    try:
        with device.vault.together():
            if contact is not None:
                greet(contact, None, device)
            device.vault.drop(GREET, person)
    except (Unreachable, TooMany, NoPrekeys):
        raise
    except EntrenousError:
        device.vault.drop(GREET, person)  # their keys or their address will never do


def invited_by(lock: bytes, device: Device) -> bool:
    """Whether this is the lock of an invite that we made."""
    return device.vault.get(INVITE, lock.hex()) is not None


def _leads_outside(relay_url: str, device: Device) -> None:
    """Refuse an address that would have us talk to a program on this machine.

    Raises:
        OnThisMachine: unless our own relay is on it too, as when one tries things out.
    """
    if is_on_this_machine(relay_url) and not is_on_this_machine(who_am_i(device).home.relay_url):
        raise OnThisMachine


def _card_of(invite: Invite, device: Device) -> bytes:
    _leads_outside(invite.relay_url, device)
    untrusted_shown = device.courier.card(invite.relay_url, invite.mailbox, invite.token)
    return seen_card(untrusted_shown, invite.person, invite.mailbox)


def _person_of(untrusted_card: bytes, invite: Invite, device: Device) -> Person:
    try:
        person = verify_card(read_card(untrusted_card))
    except BadSignature:
        raise NotTheirKeys from None
    if not same(person.id, invite.person):
        raise NotTheirKeys
    _leads_outside(person.relay_url, device)
    return person
