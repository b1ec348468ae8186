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
from entrenous.base.limits import KEY_COMPARISON_HOURS_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time, sha256
from entrenous.crypto.nouns import BadKey
from entrenous.crypto.short_auth_string import (
    ShortAuthString,
    agreement_proof,
    key_commitment,
    short_auth_string,
    x25519_public_key,
)
from entrenous.device.device import Device
from entrenous.device.identities import own_device
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.devices.device_lists import unfrozen_contact_after_comparison
from entrenous.send.devices.sync_records import record_change_times
from entrenous.send.formats.letter_format import write_comparison_transcript
from entrenous.send.letter.letter_nouns import ComparisonStep, Header
from entrenous.send.letter.sessions import ensure_session
from entrenous.send.letter.write import (
    Addressee,
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.people.keep_contacts import contact_named, mark_keys_compared, store_contact
from entrenous.send.people.people_nouns import (
    KEY_COMPARISON_TABLE,
    CodeDoesNotMatch,
    CodeOfOwnDevice,
    ComparisonNotReady,
    ComparisonNotShown,
    ComparisonSide,
    ComparisonStage,
    ContactIsBlocked,
    KeyComparisonInProgress,
    NoCodeInPicture,
    NothingToCompare,
)


def comparison_with(person: PersonId, device: Device) -> KeyComparisonInProgress | None:
    """Return the comparison in progress with a person; None if there is none or it expired."""
    found = KEY_COMPARISON_TABLE.load(person.hex(), device.vault)
    if found is None or device.clock.now() - found.began_at > timedelta(
        hours=KEY_COMPARISON_HOURS_MAX
    ):
        return None
    return found


def store_comparison(person: PersonId, comparing: KeyComparisonInProgress, device: Device) -> None:
    KEY_COMPARISON_TABLE.store(comparing, person.hex(), device.vault)


def delete_comparison(person: PersonId, device: Device) -> None:
    KEY_COMPARISON_TABLE.drop(person.hex(), device.vault)


def _auth_string_of(
    comparing: KeyComparisonInProgress, person: PersonId, device: Device
) -> ShortAuthString:
    """Return the short authentication string that both people should see; raises BadKey."""
    return short_auth_string(
        comparing.private,
        _their_public_key(comparing),
        _comparison_transcript(comparing, person, device),
    )


def _their_public_key(comparing: KeyComparisonInProgress) -> bytes:
    if comparing.theirs is None:
        raise LookupError("their public key has not arrived")
    return comparing.theirs.public


def _confirmation_proof(
    comparing: KeyComparisonInProgress, person: PersonId, by: PersonId, device: Device
) -> bytes:
    """Return the 32-byte confirmation, by either of the two people, that the strings match.

    Raises:
        BadKey.
    """
    transcript = _comparison_transcript(comparing, person, device)
    return agreement_proof(comparing.private, _their_public_key(comparing), transcript, by)


def _comparison_transcript(
    comparing: KeyComparisonInProgress, person: PersonId, device: Device
) -> bytes:
    if comparing.mine is None or comparing.theirs is None:
        raise LookupError("both public keys are needed for the transcript")
    ours, theirs = (own_device(device).person.id, comparing.mine), (person, comparing.theirs)
    starter, other = (ours, theirs) if comparing.starter else (theirs, ours)
    return write_comparison_transcript(comparing.transaction, starter, other)


def begin_or_answer_comparison(name: str, device: Device) -> KeyComparisonInProgress:
    """Take our next step: begin a comparison or answer theirs; return the current state.

    The letters leave when the outbox is next sent (send/flush.py).

    Raises:
        UnknownPerson, ContactIsBlocked, DeviceWithoutRelay.
        RelayUnreachable, or the relay's refusal: we have no session with them yet.
    """
    contact = contact_named(name, device)
    if contact.blocked:
        raise ContactIsBlocked(name=contact.name)
    known = comparison_with(contact.person.id, device)
    if known is None:
        return _begin_comparison(contact, device)
    if known.stage is ComparisonStage.ASKED:
        return _answer_comparison(known, contact, device)
    return known


def auth_string_with(name: str, device: Device) -> ShortAuthString:
    """Return the string to compare with a contact, side by side or by voice. The caller shows it,
    and this is recorded.

    Raises:
        UnknownPerson, NothingToCompare, ComparisonNotReady.
    """
    contact = contact_named(name, device)
    ready = replace(_require_ready_comparison(contact, device), shown=True)
    with device.vault.transaction():
        store_comparison(contact.person.id, ready, device)
    return _auth_string_of(ready, contact.person.id, device)


def confirm_match(name: str, device: Device) -> Contact:
    """Record that the strings match, and queue a letter that tells the contact. Trust becomes
    "compared" once the contact has said so too.

    Raises:
        UnknownPerson, NothingToCompare, ComparisonNotReady, ComparisonNotShown.
    """
    contact = contact_named(name, device)
    ready = _require_ready_comparison(contact, device)
    if not ready.shown:
        raise ComparisonNotShown(name=contact.name)
    with device.vault.transaction():
        if ready.stage is not ComparisonStage.AGREED and ready.their_device is not None:
            proof = _confirmation_proof(
                ready, contact.person.id, own_device(device).person.id, device
            )
            step = ComparisonStep(ready.transaction, 4, proof)
            _queue_step(step, contact, ready.their_device, device)
        store_comparison(contact.person.id, replace(ready, stage=ComparisonStage.AGREED), device)
        return finish_if_both_agree(contact, device)


def record_mismatch(name: str, device: Device) -> Contact:
    """Record that the strings differ; trust becomes "unknown".

    Raises:
        UnknownPerson, NothingToCompare.
    """
    contact = contact_named(name, device)
    if comparison_with(contact.person.id, device) is None:
        raise NothingToCompare(name=contact.name)
    with device.vault.transaction():
        delete_comparison(contact.person.id, device)
        distrusted = replace(contact, trust=Trust.UNKNOWN)
        store_contact(distrusted, device)
        record_change_times(device)
    return distrusted


def finish_if_both_agree(contact: Contact, device: Device) -> Contact:
    """Mark a contact's keys as compared, and end the comparison, if both sides have agreed."""
    now = comparison_with(contact.person.id, device)
    if now is None or now.stage is not ComparisonStage.AGREED or not now.they_agree:
        return contact
    delete_comparison(contact.person.id, device)
    compared = replace(unfrozen_contact_after_comparison(contact, device), trust=Trust.COMPARED)
    store_contact(compared, device)
    record_change_times(device)
    return compared


def queue_public_key(
    comparing: KeyComparisonInProgress, step: int, contact: Contact, device: Device
) -> None:
    """Put a letter with our public key, for the contact's device, into the outbox."""
    if comparing.their_device is not None:
        note = ComparisonStep(comparing.transaction, step, x25519_public_key(comparing.private))
        _queue_step(note, contact, comparing.their_device, device)


def _begin_comparison(contact: Contact, device: Device) -> KeyComparisonInProgress:
    private = Secret(device.random_source.token(32))
    begun = KeyComparisonInProgress(
        transaction=device.random_source.token(ID_BYTES),
        began_at=now_in_whole_seconds(device),
        stage=ComparisonStage.BEGUN,
        starter=True,
        private=private,
        mine=_our_comparison_side(private, device),
    )
    commitment = ComparisonStep(begun.transaction, 1, key_commitment(x25519_public_key(private)))
    with device.vault.transaction():
        for to in addressees(contact, device):
            ensure_session(to, device)
            seal_and_queue_letter(commitment, to, outer_parts_without_content(device), device)
        store_comparison(contact.person.id, begun, device)
    return begun


def _answer_comparison(
    comparing: KeyComparisonInProgress, contact: Contact, device: Device
) -> KeyComparisonInProgress:
    with device.vault.transaction():
        queue_public_key(comparing, 2, contact, device)
        mine = _our_comparison_side(comparing.private, device)
        answered = replace(comparing, stage=ComparisonStage.ANSWERED, mine=mine)
        store_comparison(contact.person.id, answered, device)
    return answered


def _our_comparison_side(private: Secret, device: Device) -> ComparisonSide:
    """Return our side of the comparison, exactly as the other device will read it from the letter
    that is written now.
    """
    me = own_device(device)
    return ComparisonSide(me.key.device, me.person.head, x25519_public_key(private))


def _require_ready_comparison(contact: Contact, device: Device) -> KeyComparisonInProgress:
    found = comparison_with(contact.person.id, device)
    if found is None:
        raise NothingToCompare(name=contact.name)
    if found.stage not in {ComparisonStage.READY, ComparisonStage.AGREED}:
        raise ComparisonNotReady(name=contact.name)
    return found


def _queue_step(step: ComparisonStep, contact: Contact, to: DeviceId, device: Device) -> None:
    key = next((key for key in contact.person.devices if key.device == to), None)
    if key is not None:  # the device may have left their list meanwhile
        addressee = Addressee(contact, key)
        ensure_session(addressee, device)
        seal_and_queue_letter(step, addressee, outer_parts_without_content(device), device)


def process_comparison_step(
    step: ComparisonStep, header: Header, contact: Contact, device: Device
) -> None:
    """Process a comparison step from a contact, inside the transaction that advances the
    ratchet.
    """
    if step.step == 1:
        _on_comparison_begun(step, header, contact, device)
        return
    known = comparison_with(contact.person.id, device)
    if known is None or known.transaction != step.transaction:
        return
    if known.their_device not in {None, header.from_device}:
        return
    try:
        _STEP_HANDLERS[step.step](known, step, header, contact, device)
    except BadKey:
        delete_comparison(contact.person.id, device)


def _on_comparison_begun(
    step: ComparisonStep, header: Header, contact: Contact, device: Device
) -> None:
    """Step 1: they began.

    If we began one too, both sides continue the one with the lower transaction number.
    """
    known = comparison_with(contact.person.id, device)
    busy = (
        known is not None
        and known.stage is not ComparisonStage.BEGUN
        and known.stage is not ComparisonStage.ASKED
    )
    if busy or (known is not None and known.transaction < step.transaction and known.starter):
        return
    asked = KeyComparisonInProgress(
        transaction=step.transaction,
        began_at=now_in_whole_seconds(device),
        stage=ComparisonStage.ASKED,
        starter=False,
        private=Secret(device.random_source.token(32)),
        their_device=header.from_device,
        commitment=step.data,
        their_head=header.from_head,
    )
    store_comparison(contact.person.id, asked, device)


def _on_key_shown(
    known: KeyComparisonInProgress,
    step: ComparisonStep,
    header: Header,
    contact: Contact,
    device: Device,
) -> None:
    """Step 2: they showed their key, so we may reveal ours, to which we had committed."""
    if known.stage is not ComparisonStage.BEGUN:
        return
    theirs = ComparisonSide(header.from_device, header.from_head, step.data)
    met = replace(known, their_device=header.from_device, theirs=theirs)
    queue_public_key(met, 3, contact, device)
    _store_as_ready(met, contact, device)


def _on_key_revealed(
    known: KeyComparisonInProgress,
    step: ComparisonStep,
    header: Header,
    contact: Contact,
    device: Device,
) -> None:
    """Step 3: they revealed the key to which they had committed before they saw ours.

    Their device list head is the one from step 1: a head named only now could have been chosen to
    make the strings match.
    """
    if known.stage is not ComparisonStage.ANSWERED or known.their_head is None:
        return
    if not equal_in_constant_time(key_commitment(step.data), known.commitment or b""):
        delete_comparison(contact.person.id, device)
        return
    theirs = ComparisonSide(header.from_device, known.their_head, step.data)
    _store_as_ready(replace(known, theirs=theirs), contact, device)


def _on_match_confirmed(
    known: KeyComparisonInProgress,
    step: ComparisonStep,
    _header: Header,
    contact: Contact,
    device: Device,
) -> None:
    """Step 4: they say that the strings match."""
    if known.stage not in {ComparisonStage.READY, ComparisonStage.AGREED}:
        return
    proof = _confirmation_proof(known, contact.person.id, contact.person.id, device)
    if not equal_in_constant_time(step.data, proof):
        delete_comparison(contact.person.id, device)
        return
    store_comparison(contact.person.id, replace(known, they_agree=True), device)
    finish_if_both_agree(contact, device)


def _store_as_ready(met: KeyComparisonInProgress, contact: Contact, device: Device) -> None:
    ready = replace(met, stage=ComparisonStage.READY)
    _auth_string_of(ready, contact.person.id, device)  # raises BadKey before anything is shown
    store_comparison(contact.person.id, ready, device)


_STEP_HANDLERS: Final[
    Mapping[int, Callable[[KeyComparisonInProgress, ComparisonStep, Header, Contact, Device], None]]
] = {
    2: _on_key_shown,
    3: _on_key_revealed,
    4: _on_match_confirmed,
}
# a QR code is smallest if it has only capital letters, digits and a few signs such as ":"
_QR_PREFIX: Final = "ENTRENOUS:KEYS:1:"
_QR_CONTEXT: Final = b"entrenous/1 keys face to face\x00"


def qr_code_text_for(name: str, device: Device) -> str:
    """Return the text of the QR code to show a contact. It has a hash of both person ids: ours, and
    theirs as this device knows it.

    Raises:
        UnknownPerson, DeviceWithoutRelay.
    """
    theirs = contact_named(name, device).person.id
    return _qr_code_text(own_device(device).person.id, theirs)


def accept_qr_code(name: str, untrusted_code: str, device: Device) -> Contact:
    """Mark a contact's keys as compared if the code on their screen matches what this device knows.

    A code for other keys lowers trust from "by link" to "unknown".

    Raises:
        UnknownPerson, DeviceWithoutRelay.
        NoCodeInPicture: this is not one of our codes.
        CodeOfOwnDevice: this is the code that this device shows.
        CodeDoesNotMatch: the code is for other people, or there is an attacker in the middle.
    """
    contact, ours = contact_named(name, device), own_device(device).person.id
    shown, theirs = untrusted_code.encode(), contact.person.id
    if not untrusted_code.startswith(_QR_PREFIX):
        raise NoCodeInPicture
    if equal_in_constant_time(shown, _qr_code_text(ours, theirs).encode()):
        raise CodeOfOwnDevice(name=contact.name)
    if not equal_in_constant_time(shown, _qr_code_text(theirs, ours).encode()):
        _downgrade_link_trust(contact, device)
        raise CodeDoesNotMatch(name=contact.name)
    return mark_keys_compared(name, device)


def _qr_code_text(shows: PersonId, reads: PersonId) -> str:
    digest = sha256(_QR_CONTEXT + shows + reads)
    return _QR_PREFIX + base64.b32encode(digest).decode().rstrip("=")


def _downgrade_link_trust(contact: Contact, device: Device) -> None:
    if contact.trust is Trust.BY_LINK:
        with device.vault.transaction():
            store_contact(replace(contact, trust=Trust.UNKNOWN), device)
            record_change_times(device)


_SAFETY_NUMBER_DIGIT_GROUPS = 12
_SAFETY_NUMBER_HASH_ROUNDS = (
    5200  # as in Signal's numeric fingerprints, to slow down the search for a similar number
)


def safety_number(name: str, device: Device) -> str:
    """Return sixty digits computed from both persons' master keys, the same on both devices.

    Raises:
        UnknownPerson, DeviceWithoutRelay.
    """
    mine = own_device(device).person.id
    theirs = contact_named(name, device).person.id
    digest = b"".join(sorted((bytes(mine), bytes(theirs))))
    for _ in range(_SAFETY_NUMBER_HASH_ROUNDS):
        digest = sha256(b"entrenous/1 safety number\x00" + digest)
    digest += sha256(b"entrenous/1 safety number\x01" + digest)
    groups = (
        int.from_bytes(digest[5 * i : 5 * i + 5]) % 100_000
        for i in range(_SAFETY_NUMBER_DIGIT_GROUPS)
    )
    return " ".join(f"{group:05d}" for group in groups)
