"""Begin a session with another device from its prekeys, and repair one whose letters stopped
opening.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from entrenous.base.errors import EntrenousError, NoPrekeys, NoSuchMailbox, WrongToken
from entrenous.base.identifiers import PersonId
from entrenous.base.identity import BadPrekey, Contact, Head, PrekeyKind, SignedBatch, SignedPrekey
from entrenous.base.limits import SESSIONS_MAX
from entrenous.crypto.seal import begin_session
from entrenous.crypto.statements import verify_prekey
from entrenous.device.device import Device
from entrenous.device.identities import account_of, check_head, who_am_i
from entrenous.device.vault_tables import PEER, load_record, peer_key, store_record
from entrenous.send.formats.identity_formats import read_prekey
from entrenous.send.letter.letter_nouns import Hello, Peer, XWingKey
from entrenous.send.letter.write import Addressee, addressees, plain_outer, write_letter
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.people.people_nouns import YouBlocked
from entrenous.send.tokens.issue import issue_range
from entrenous.send.tokens.use import has_tokens_for, token_for
from entrenous.wire.relay_nouns import PrekeyBundle

_NOT_THERE_YET: Final = (NoPrekeys, NoSuchMailbox, WrongToken)


def have_session(to: Addressee, device: Device) -> None:
    """Make sure that there is a session with this device; asks its relay only if there is none.

    Raises:
        BadSignature, BadPrekey, BadKey, ForkedList, TooMany, RelayUnreachable, WrongToken.
    """
    person = to.contact.person
    whose = peer_key(person.id, to.key.device)
    met = load_record(Peer, PEER, whose, device.vault)
    if met is not None and met.sessions:
        return
    token = token_for(to.contact, to.key.device, device)
    bundle = device.courier.claim_prekeys(person.relay_url, to.key.mailbox, token, to.key.device)
    begun = _begun(bundle, to, device)
    if met is not None:
        begun = replace(begun, sent=met.sent, seen=met.seen)
    store_record(begun, PEER, whose, device.vault)


def has_session(to: Addressee, device: Device) -> bool:
    """Whether a letter can be written to this device without asking its relay for anything."""
    met = load_record(Peer, PEER, peer_key(to.contact.person.id, to.key.device), device.vault)
    return met is not None and bool(met.sessions)


def with_sessions(every: Iterable[Addressee], device: Device) -> tuple[Addressee, ...]:
    """Those of these devices that there is a session with, which is begun where there was none.

    A device that has left no keys yet, or has not told us yet how to write to it, is passed over
    as long as another one of the same person is within reach.

    Raises:
        NoPrekeys, NoSuchMailbox, WrongToken: none of somebody's devices is.
        BadSignature, BadPrekey, BadKey, ForkedList, TooMany, RelayUnreachable.
    """
    reached, beyond = list[Addressee](), dict[PersonId, EntrenousError]()
    for to in every:
        try:
            have_session(to, device)
        except _NOT_THERE_YET as why:
            beyond.setdefault(to.contact.person.id, why)
        else:
            reached.append(to)
    there = {to.contact.person.id for to in reached}
    for person, error in beyond.items():
        if person not in there:
            raise error
    return tuple(reached)


def replace_session(to: Addressee, device: Device) -> None:
    """A new session with this device, on fresh prekeys, beside those that there were: they open
    what is still on its way. Counters go on, since numbers that were used are refused.

    Raises:
        BadSignature, BadPrekey, BadKey, ForkedList, TooMany, RelayUnreachable, WrongToken.
    """
    whose = peer_key(to.contact.person.id, to.key.device)
    before = load_record(Peer, PEER, whose, device.vault)
    if before is not None:
        store_record(replace(before, sessions=()), PEER, whose, device.vault)
    have_session(to, device)
    begun = load_record(Peer, PEER, whose, device.vault)
    if before is not None and begun is not None:
        sessions = (*begun.sessions, *before.sessions)[:SESSIONS_MAX]
        kept = replace(begun, sessions=sessions, mine=before.mine, used=before.used)
        store_record(kept, PEER, whose, device.vault)


def _begun(bundle: PrekeyBundle, to: Addressee, device: Device) -> Peer:
    batch = signed_with(bundle)
    if bundle.one_time is not None:
        begin = _proven(bundle.one_time, PrekeyKind.ONE_TIME, batch, to, device)
    else:
        begin = _proven(bundle.fallback, PrekeyKind.FALLBACK, batch, to, device)
    xwing = _proven(bundle.xwing, PrekeyKind.XWING, batch, to, device)
    session = begin_session(account_of(device), to.key.curve25519, begin.prekey.public)
    return Peer(
        device=to.key.device,
        person=to.contact.person.id,
        sessions=(session,),
        seal_to=XWingKey(xwing.prekey.id, xwing.prekey.public),
        made_for_me=False,
        key_epoch=xwing.prekey.epoch,
        key_head=xwing.prekey.head,
        prekey=begin.prekey.id,
    )


def signed_with(bundle: PrekeyBundle) -> SignedBatch:
    """The batch to which all keys of one claim have to belong; unproven.

    Raises:
        BadPrekey: the X-Wing prekey carries none.
    """
    batch = read_prekey(bundle.xwing).batch
    if batch is None:
        raise BadPrekey
    return batch


def _proven(
    untrusted: bytes, kind: PrekeyKind, batch: SignedBatch, to: Addressee, device: Device
) -> SignedPrekey:
    signed = read_prekey(untrusted)
    verify_prekey(signed, batch, to.key, to.key.mailbox)
    if signed.prekey.kind is not kind:
        raise BadPrekey
    check_head(to.contact, Head(signed.prekey.epoch, signed.prekey.head), device)
    return signed


def repair_sessions(name: str, device: Device) -> Contact:
    """Take fresh prekeys of each of a person's devices, and say hello by them.

    The letters lie in the outbox when this returns.

    Raises:
        UnknownPerson, YouBlocked, OfflineDevice; RelayUnreachable or a refusal, when her relay
        gives nothing to begin with: then everything is as it was.
    """
    contact = contact_named(name, device)
    if contact.blocked:
        raise YouBlocked(name=contact.name)
    with device.vault.together():
        for to in addressees(contact, device):
            if has_tokens_for(contact, to.key.device, device):
                _begin_anew(to, device)
    return contact


def _begin_anew(to: Addressee, device: Device) -> None:
    replace_session(to, device)
    window = issue_range(to.contact.person, to.key.device, device)
    hello = Hello(who_am_i(device).card, window.seed, window.first, None)
    write_letter(hello, to, plain_outer(device), device)
