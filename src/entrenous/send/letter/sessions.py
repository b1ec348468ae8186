"""Start a session with another device from its prekeys; repair one whose letters cannot be
decrypted.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from entrenous.base.errors import EntrenousError, NoPrekeys, NoSuchMailbox, WrongToken
from entrenous.base.identifiers import PersonId
from entrenous.base.identity import (
    BadPrekey,
    Contact,
    DeviceListHead,
    PrekeyKind,
    SignedBatch,
    SignedPrekey,
)
from entrenous.base.limits import SESSIONS_PER_DEVICE_MAX
from entrenous.crypto.seal import begin_session
from entrenous.crypto.statements import verify_prekey
from entrenous.device.device import Device
from entrenous.device.identities import check_list_head, olm_account_of, own_device
from entrenous.device.vault_tables import peer_key
from entrenous.send.formats.identity_formats import read_prekey
from entrenous.send.letter.letter_nouns import PEER_TABLE, Hello, PeerDevice, PublicXWingKey
from entrenous.send.letter.write import (
    Addressee,
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.people.people_nouns import ContactIsBlocked
from entrenous.send.tokens.issue import issue_range
from entrenous.send.tokens.use import has_tokens_for, next_token_for
from entrenous.wire.relay_nouns import PrekeyBundle

_UNREACHABLE_DEVICE_ERRORS: Final = (NoPrekeys, NoSuchMailbox, WrongToken)


def ensure_session(to: Addressee, device: Device) -> None:
    """Ensure that a session with this device exists; its relay is asked only if there is none.

    Raises:
        BadSignature, BadPrekey, BadKey, ForkedDeviceList, TooMany, RelayUnreachable, NoPrekeys,
            NoSuchMailbox.
        WrongToken: we have no token for this device, or its relay refused the token.
    """
    person = to.contact.person
    peer_id = peer_key(person.id, to.key.device)
    known = PEER_TABLE.load(peer_id, device.vault)
    if known is not None and known.sessions:
        return
    token = next_token_for(to.contact, to.key.device, device)
    bundle = device.courier.claim_prekeys(person.relay_url, to.key.mailbox, token, to.key.device)
    peer = _new_peer(bundle, to, device)
    if known is not None:
        peer = replace(peer, sent=known.sent, seen=known.seen)
    PEER_TABLE.store(peer, peer_id, device.vault)


def has_session(to: Addressee, device: Device) -> bool:
    """Return whether a letter can be written to this device without asking its relay."""
    known = PEER_TABLE.load(peer_key(to.contact.person.id, to.key.device), device.vault)
    return known is not None and bool(known.sessions)


def ensure_sessions(targets: Iterable[Addressee], device: Device) -> tuple[Addressee, ...]:
    """Ensure sessions with these devices; return the devices that have one.

    A device that has published no keys yet, whose mailbox is gone, or for which we have no valid
    token, is skipped if another device of the same person can be reached.

    Raises:
        NoPrekeys, NoSuchMailbox, WrongToken: none of a person's devices can be reached.
        BadSignature, BadPrekey, BadKey, ForkedDeviceList, TooMany, RelayUnreachable.
    """
    reached, unreached = list[Addressee](), dict[PersonId, EntrenousError]()
    for to in targets:
        try:
            ensure_session(to, device)
        except _UNREACHABLE_DEVICE_ERRORS as why:
            unreached.setdefault(to.contact.person.id, why)
        else:
            reached.append(to)
    reached_people = {to.contact.person.id for to in reached}
    for person, error in unreached.items():
        if person not in reached_people:
            raise error
    return tuple(reached)


def begin_new_session(to: Addressee, device: Device) -> None:
    """Begin a new session with this device from fresh prekeys. Old sessions are kept for letters
    in transit. Counters continue, since the peer refuses numbers that were used before.

    Raises:
        The errors of :func:`ensure_session`.
    """
    peer_id = peer_key(to.contact.person.id, to.key.device)
    before = PEER_TABLE.load(peer_id, device.vault)
    if before is not None:
        PEER_TABLE.store(replace(before, sessions=()), peer_id, device.vault)
    ensure_session(to, device)
    peer = PEER_TABLE.load(peer_id, device.vault)
    if before is not None and peer is not None:
        sessions = (*peer.sessions, *before.sessions)[:SESSIONS_PER_DEVICE_MAX]
        kept = replace(peer, sessions=sessions, mine=before.mine, used=before.used)
        PEER_TABLE.store(kept, peer_id, device.vault)


def _new_peer(bundle: PrekeyBundle, to: Addressee, device: Device) -> PeerDevice:
    batch = batch_of_bundle(bundle)
    if bundle.one_time is not None:
        opening_key = _verified_prekey(bundle.one_time, PrekeyKind.ONE_TIME, batch, to, device)
    else:
        opening_key = _verified_prekey(bundle.fallback, PrekeyKind.FALLBACK, batch, to, device)
    xwing = _verified_prekey(bundle.xwing, PrekeyKind.XWING, batch, to, device)
    session = begin_session(olm_account_of(device), to.key.curve25519, opening_key.prekey.public)
    return PeerDevice(
        device=to.key.device,
        person=to.contact.person.id,
        sessions=(session,),
        seal_to=PublicXWingKey(xwing.prekey.id, xwing.prekey.public),
        made_for_me=False,
        key_epoch=xwing.prekey.epoch,
        key_head=xwing.prekey.head,
        prekey=opening_key.prekey.id,
    )


def batch_of_bundle(bundle: PrekeyBundle) -> SignedBatch:
    """Return the batch to which all keys of one claim must belong; its signature is not verified.

    Raises:
        BadPrekey: the X-Wing prekey has no batch.
    """
    batch = read_prekey(bundle.xwing).batch
    if batch is None:
        raise BadPrekey
    return batch


def _verified_prekey(
    untrusted: bytes, kind: PrekeyKind, batch: SignedBatch, to: Addressee, device: Device
) -> SignedPrekey:
    signed = read_prekey(untrusted)
    verify_prekey(signed, batch, to.key, to.key.mailbox)
    if signed.prekey.kind is not kind:
        raise BadPrekey
    check_list_head(to.contact, DeviceListHead(signed.prekey.epoch, signed.prekey.head), device)
    return signed


def repair_sessions(name: str, device: Device) -> Contact:
    """Begin a new session with each of a person's devices for which we have send tokens, and put
    a hello for the device into the outbox.

    Raises:
        UnknownPerson, ContactIsBlocked, DeviceWithoutRelay.
        RelayUnreachable or a refusal: their relay gave no prekeys, and nothing was changed.
    """
    contact = contact_named(name, device)
    if contact.blocked:
        raise ContactIsBlocked(name=contact.name)
    with device.vault.transaction():
        for to in addressees(contact, device):
            if has_tokens_for(contact, to.key.device, device):
                _greet_in_new_session(to, device)
    return contact


def _greet_in_new_session(to: Addressee, device: Device) -> None:
    begin_new_session(to, device)
    issued = issue_range(to.contact.person, to.key.device, device)
    hello = Hello(own_device(device).card, issued.seed, issued.first, None)
    seal_and_queue_letter(hello, to, outer_parts_without_content(device), device)
