"""Compare keys with somebody by short strings: our side's steps."""

from dataclasses import replace

from entrenous.craft.crypto.short_string import commitment_to, public_of
from entrenous.model.compare import (
    Comparing,
    Half,
    NotComparedYet,
    NothingToCompare,
    ShortString,
    Stage,
)
from entrenous.model.ids import ID_BYTES, DeviceId
from entrenous.model.notes import CompareStep
from entrenous.model.person import Contact, Trust, YouBlocked
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_named, keep_contact
from entrenous.send.devices.lists.forked import thaw
from entrenous.send.devices.self import who_am_i
from entrenous.send.devices.sync.records import date_changes
from entrenous.send.letter.sessions import have_session
from entrenous.send.letter.write import Addressee, addressees, plain_outer, write_letter
from entrenous.send.moment import this_second
from entrenous.send.verify.comparing import (
    comparing_with,
    drop_comparing,
    keep_comparing,
    proof_of_ours,
    string_of,
)


def compare_keys(name: str, device: Device) -> Comparing:
    """Do what is ours to do next: begin, or answer who began; else only how far it has come.

    What it writes leaves with the next flush.

    Raises:
        UnknownPerson, YouBlocked, OfflineDevice; RelayUnreachable or a refusal, when there is no
        session with them yet.
    """
    contact = contact_named(name, device)
    if contact.blocked:
        raise YouBlocked(name=contact.name)
    known = comparing_with(contact.person.id, device)
    if known is None:
        return _begin(contact, device)
    if known.stage is Stage.ASKED:
        return _answer(known, contact, device)
    return known


def string_with(name: str, device: Device) -> ShortString:
    """What to compare with somebody, side by side or by voice.

    Raises:
        UnknownPerson, NothingToCompare, NotComparedYet.
    """
    contact = contact_named(name, device)
    return string_of(_ready(contact, device), contact.person.id, device)


def agree(name: str, device: Device) -> Contact:
    """Note, and tell them, that both see the same; compared once they said so too.

    Raises:
        UnknownPerson, NothingToCompare, NotComparedYet.
    """
    contact = contact_named(name, device)
    ready = _ready(contact, device)
    with device.vault.together():
        if ready.stage is not Stage.AGREED and ready.their_device is not None:
            proof = proof_of_ours(ready, contact.person.id, device)
            step = CompareStep(ready.transaction, 4, proof)
            _write(step, contact, ready.their_device, device)
        keep_comparing(contact.person.id, replace(ready, stage=Stage.AGREED), device)
        return settle_agreed(contact, device)


def disagree(name: str, device: Device) -> Contact:
    """Note that they see something else: their keys count as unknown.

    Raises:
        UnknownPerson, NothingToCompare.
    """
    contact = contact_named(name, device)
    if comparing_with(contact.person.id, device) is None:
        raise NothingToCompare(name=contact.name)
    with device.vault.together():
        drop_comparing(contact.person.id, device)
        doubted = replace(contact, trust=Trust.UNKNOWN)
        keep_contact(doubted, device)
        date_changes(device)
    return doubted


def settle_agreed(contact: Contact, device: Device) -> Contact:
    """Count somebody's keys as compared when both sides said so, and be done with it then."""
    now = comparing_with(contact.person.id, device)
    if now is None or now.stage is not Stage.AGREED or not now.they_agree:
        return contact
    drop_comparing(contact.person.id, device)
    compared = replace(thaw(contact, device), trust=Trust.COMPARED)
    keep_contact(compared, device)
    date_changes(device)
    return compared


def show_key(comparing: Comparing, step: int, contact: Contact, device: Device) -> None:
    """Send our public key to their device."""
    if comparing.their_device is not None:
        note = CompareStep(comparing.transaction, step, public_of(comparing.private))
        _write(note, contact, comparing.their_device, device)


def _begin(contact: Contact, device: Device) -> Comparing:
    private = Secret(device.dice.token(32))
    begun = Comparing(
        transaction=device.dice.token(ID_BYTES),
        began_at=this_second(device),
        stage=Stage.BEGUN,
        starter=True,
        private=private,
        mine=_our_half(private, device),
    )
    promise = CompareStep(begun.transaction, 1, commitment_to(public_of(private)))
    with device.vault.together():
        for to in addressees(contact, device):
            have_session(to, device)
            write_letter(promise, to, plain_outer(device), device)
        keep_comparing(contact.person.id, begun, device)
    return begun


def _answer(asked: Comparing, contact: Contact, device: Device) -> Comparing:
    with device.vault.together():
        show_key(asked, 2, contact, device)
        mine = _our_half(asked.private, device)
        answered = replace(asked, stage=Stage.ANSWERED, mine=mine)
        keep_comparing(contact.person.id, answered, device)
    return answered


def _our_half(private: Secret, device: Device) -> Half:
    """Our half, as the other side learns it from the letter that is written now."""
    me = who_am_i(device)
    return Half(me.key.device, me.person.head, public_of(private))


def _ready(contact: Contact, device: Device) -> Comparing:
    found = comparing_with(contact.person.id, device)
    if found is None:
        raise NothingToCompare(name=contact.name)
    if found.stage not in {Stage.READY, Stage.AGREED}:
        raise NotComparedYet(name=contact.name)
    return found


def _write(step: CompareStep, contact: Contact, to: DeviceId, device: Device) -> None:
    key = next((key for key in contact.person.devices if key.device == to), None)
    if key is not None:  # it may have left their list meanwhile: then nobody is waiting
        addressee = Addressee(contact, key)
        have_session(addressee, device)
        write_letter(step, addressee, plain_outer(device), device)
