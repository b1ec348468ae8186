"""Compare keys: by short authentication strings, by QR codes face to face, or by the safety number
(docs/spec/people.md, section 3).
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.base.identifiers import ID_BYTES, DeviceId, PersonId
from entrenous.base.identity import Contact, Trust
from entrenous.base.limits import COMPARE_HOURS
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time, sha256
from entrenous.crypto.nouns import BadKey
from entrenous.crypto.short_auth_string import (
    ShortString,
    agreement,
    commitment_to,
    public_of,
    short_string,
)
from entrenous.device.device import Device
from entrenous.device.identities import who_am_i
from entrenous.device.vault_tables import COMPARE, load_record, store_record
from entrenous.send.clock_sanity import this_second
from entrenous.send.devices.device_lists import thaw
from entrenous.send.devices.sync_records import date_changes
from entrenous.send.formats.letter_format import write_transcript
from entrenous.send.letter.letter_nouns import CompareStep, Header
from entrenous.send.letter.sessions import have_session
from entrenous.send.letter.write import Addressee, addressees, plain_outer, write_letter
from entrenous.send.people.keep_contacts import contact_named, keep_contact, verify_contact
from entrenous.send.people.people_nouns import (
    Comparing,
    Half,
    NoCode,
    NotComparedYet,
    NothingToCompare,
    OtherKeys,
    OwnCode,
    Stage,
    YouBlocked,
)


def comparing_with(person: PersonId, device: Device) -> Comparing | None:
    """Return the comparison in progress with a person; None if there is none or it expired."""
    found = load_record(Comparing, COMPARE, person.hex(), device.vault)
    if found is None or device.clock.now() - found.began_at > timedelta(hours=COMPARE_HOURS):
        return None
    return found


def keep_comparing(person: PersonId, comparing: Comparing, device: Device) -> None:
    store_record(comparing, COMPARE, person.hex(), device.vault)


def drop_comparing(person: PersonId, device: Device) -> None:
    device.vault.drop(COMPARE, person.hex())


def string_of(comparing: Comparing, person: PersonId, device: Device) -> ShortString:
    """Return the short authentication string that both people should see; raises BadKey."""
    return short_string(
        comparing.private, _theirs(comparing), _transcript(comparing, person, device)
    )


def _theirs(comparing: Comparing) -> bytes:
    if comparing.theirs is None:
        raise LookupError("their public key has not arrived")
    return comparing.theirs.public


def _proof(comparing: Comparing, person: PersonId, by: PersonId, device: Device) -> bytes:
    """Return the 32-byte confirmation, by either of the two people, that the strings match.

    Raises:
        BadKey.
    """
    transcript = _transcript(comparing, person, device)
    return agreement(comparing.private, _theirs(comparing), transcript, by)


def _transcript(comparing: Comparing, person: PersonId, device: Device) -> bytes:
    if comparing.mine is None or comparing.theirs is None:
        raise LookupError("both public keys are needed for the transcript")
    ours, theirs = (who_am_i(device).person.id, comparing.mine), (person, comparing.theirs)
    starter, other = (ours, theirs) if comparing.starter else (theirs, ours)
    return write_transcript(comparing.transaction, starter, other)


def compare_keys(name: str, device: Device) -> Comparing:
    """Take our next step: begin a comparison, or answer theirs; otherwise return the current state.

    The letters leave with the next flush.

    Raises:
        UnknownPerson, YouBlocked, OfflineDevice.
        RelayUnreachable, or the relay's refusal: we have no session with them yet.
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
    """Return the string to compare with a contact, side by side or by voice.

    Raises:
        UnknownPerson, NothingToCompare, NotComparedYet.
    """
    contact = contact_named(name, device)
    return string_of(_ready(contact, device), contact.person.id, device)


def agree(name: str, device: Device) -> Contact:
    """Record, and tell them, that the strings match; trust is "compared" once they agree too.

    Raises:
        UnknownPerson, NothingToCompare, NotComparedYet.
    """
    contact = contact_named(name, device)
    ready = _ready(contact, device)
    with device.vault.together():
        if ready.stage is not Stage.AGREED and ready.their_device is not None:
            proof = _proof(ready, contact.person.id, who_am_i(device).person.id, device)
            step = CompareStep(ready.transaction, 4, proof)
            _write(step, contact, ready.their_device, device)
        keep_comparing(contact.person.id, replace(ready, stage=Stage.AGREED), device)
        return settle_agreed(contact, device)


def disagree(name: str, device: Device) -> Contact:
    """Record that the strings differ; trust becomes "unknown".

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
    """Mark a contact's keys as compared, and end the comparison, if both sides have agreed."""
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
    commitment = CompareStep(begun.transaction, 1, commitment_to(public_of(private)))
    with device.vault.together():
        for to in addressees(contact, device):
            have_session(to, device)
            write_letter(commitment, to, plain_outer(device), device)
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
    """Return our half, identical to what the other side reads from the letter written now."""
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
    if key is not None:  # the device may have left their list meanwhile
        addressee = Addressee(contact, key)
        have_session(addressee, device)
        write_letter(step, addressee, plain_outer(device), device)


def take_step(step: CompareStep, header: Header, contact: Contact, device: Device) -> None:
    """Process a comparison step from a contact, inside the transaction that advances the
    ratchet.
    """
    if step.step == 1:
        _asked(step, header, contact, device)
        return
    known = comparing_with(contact.person.id, device)
    if known is None or known.transaction != step.transaction:
        return
    if known.their_device not in {None, header.from_device}:
        return
    try:
        _STEPS[step.step](known, step, header, contact, device)
    except BadKey:
        drop_comparing(contact.person.id, device)


def _asked(step: CompareStep, header: Header, contact: Contact, device: Device) -> None:
    """Step 1: they began. If we did too, both sides continue the one with the lower number."""
    known = comparing_with(contact.person.id, device)
    busy = known is not None and known.stage is not Stage.BEGUN and known.stage is not Stage.ASKED
    if busy or (known is not None and known.transaction < step.transaction and known.starter):
        return
    asked = Comparing(
        transaction=step.transaction,
        began_at=this_second(device),
        stage=Stage.ASKED,
        starter=False,
        private=Secret(device.dice.token(32)),
        their_device=header.from_device,
        commitment=step.data,
        their_head=header.from_head,
    )
    keep_comparing(contact.person.id, asked, device)


def _answered(
    known: Comparing, step: CompareStep, header: Header, contact: Contact, device: Device
) -> None:
    """Step 2: they showed their key, so we may reveal ours, to which we had committed."""
    if known.stage is not Stage.BEGUN:
        return
    theirs = Half(header.from_device, header.from_head, step.data)
    met = replace(known, their_device=header.from_device, theirs=theirs)
    show_key(met, 3, contact, device)
    _get_ready(met, contact, device)


def _shown(
    known: Comparing, step: CompareStep, header: Header, contact: Contact, device: Device
) -> None:
    """Step 3: they revealed the key to which they had committed before they saw ours.

    Their list head is the one from step 1: a head named only now could have been chosen to make
    the strings match.
    """
    if known.stage is not Stage.ANSWERED or known.their_head is None:
        return
    if not equal_in_constant_time(commitment_to(step.data), known.commitment or b""):
        drop_comparing(contact.person.id, device)
        return
    theirs = Half(header.from_device, known.their_head, step.data)
    _get_ready(replace(known, theirs=theirs), contact, device)


def _agreed(
    known: Comparing, step: CompareStep, _header: Header, contact: Contact, device: Device
) -> None:
    """Step 4: they say that the strings match."""
    if known.stage not in {Stage.READY, Stage.AGREED}:
        return
    proof = _proof(known, contact.person.id, contact.person.id, device)
    if not equal_in_constant_time(step.data, proof):
        drop_comparing(contact.person.id, device)
        return
    keep_comparing(contact.person.id, replace(known, they_agree=True), device)
    settle_agreed(contact, device)


def _get_ready(met: Comparing, contact: Contact, device: Device) -> None:
    ready = replace(met, stage=Stage.READY)
    string_of(ready, contact.person.id, device)  # raises BadKey before anything is shown
    keep_comparing(contact.person.id, ready, device)


_STEPS: Final[Mapping[int, Callable[[Comparing, CompareStep, Header, Contact, Device], None]]] = {
    2: _answered,
    3: _shown,
    4: _agreed,
}
_PREFIX: Final = "ENTRENOUS:KEYS:1:"  # capitals and digits alone give the smallest QR code
_CONTEXT: Final = b"entrenous/1 keys face to face\x00"


def code_for(name: str, device: Device) -> str:
    """Return the QR code text to show a contact: our keys, and theirs as this device knows them.

    Raises:
        UnknownPerson, OfflineDevice.
    """
    theirs = contact_named(name, device).person.id
    return _code(who_am_i(device).person.id, theirs)


def read_code(name: str, untrusted_code: str, device: Device) -> Contact:
    """Mark a contact's keys as compared if the code on their screen matches what this device knows.

    A code for other keys lowers trust from "by link" to "unknown".

    Raises:
        UnknownPerson, OfflineDevice.
        NoCode: this is not one of our codes.
        OwnCode: this is the code that this device shows.
        OtherKeys: the code is for other people, or there is an attacker in the middle.
    """
    contact, ours = contact_named(name, device), who_am_i(device).person.id
    shown, theirs = untrusted_code.encode(), contact.person.id
    if not untrusted_code.startswith(_PREFIX):
        raise NoCode
    if equal_in_constant_time(shown, _code(ours, theirs).encode()):
        raise OwnCode(name=contact.name)
    if not equal_in_constant_time(shown, _code(theirs, ours).encode()):
        _doubt(contact, device)
        raise OtherKeys(name=contact.name)
    return verify_contact(name, device)


def _code(shows: PersonId, reads: PersonId) -> str:
    digest = sha256(_CONTEXT + shows + reads)
    return _PREFIX + base64.b32encode(digest).decode().rstrip("=")


def _doubt(contact: Contact, device: Device) -> None:
    if contact.trust is Trust.BY_LINK:
        with device.vault.together():
            keep_contact(replace(contact, trust=Trust.UNKNOWN), device)
            date_changes(device)


_GROUPS = 12
_ROUNDS = 5200  # as in Signal's numeric fingerprints: slows the search for a similar number


def safety_number(name: str, device: Device) -> str:
    """Return sixty digits computed from both persons' master keys, the same on both devices.

    Raises:
        UnknownPerson, OfflineDevice.
    """
    mine = who_am_i(device).person.id
    theirs = contact_named(name, device).person.id
    digest = b"".join(sorted((bytes(mine), bytes(theirs))))
    for _ in range(_ROUNDS):
        digest = sha256(b"entrenous/1 safety number\x00" + digest)
    digest += sha256(b"entrenous/1 safety number\x01" + digest)
    groups = (int.from_bytes(digest[5 * i : 5 * i + 5]) % 100_000 for i in range(_GROUPS))
    return " ".join(f"{group:05d}" for group in groups)
