"""Read a received letter, with the checks of docs/spec/letter.md, sections 4 and 8."""

from dataclasses import dataclass, replace

from entrenous.base.identity import Contact, DeviceListHead, ForkedDeviceList, Person
from entrenous.base.limits import LETTER_COUNTER_WINDOW_SIZE, SESSIONS_PER_DEVICE_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time, sha256
from entrenous.crypto.hpke import seal_to
from entrenous.crypto.nouns import BadKey, NotForThisMailbox
from entrenous.crypto.seal import (
    HalfOpenedLetter,
    OpenedLetter,
    letter_began_session,
    open_first_letter,
    open_letter,
    open_outer_seal,
)
from entrenous.crypto.statements import check_heads_agree, device_list_heads, verify_key_bundle
from entrenous.device.device import Device
from entrenous.device.identities import (
    OwnIdentity,
    known_list_heads,
    olm_account_of,
    store_olm_account,
)
from entrenous.device.vault_tables import (
    SEEN_MESSAGE,
    inbox_key,
    peer_key,
)
from entrenous.send.formats.letter_format import (
    read_body,
    read_header,
    read_sealed_letter,
    write_hpke_info,
)
from entrenous.send.letter.letter_nouns import (
    OWN_XWING_KEY_TABLE,
    PEER_TABLE,
    Body,
    ContactRequestNote,
    Header,
    Hello,
    KeyBundleNote,
    LetterAddress,
    OwnXWingKey,
    PeerDevice,
    PersonDeviceListHead,
)
from entrenous.send.people.keep_contacts import contact_by_id, fork_error
from entrenous.wire.key_bundle import read_key_bundle
from entrenous.wire.relay_nouns import WaitingEnvelope


@dataclass(frozen=True, slots=True)
class Letter:
    """An authenticated letter: it is from a device of ``person``, to us, unchanged and new."""

    header: Header
    body: Body
    person: Person


def read_letter(waiting: WaitingEnvelope, me: OwnIdentity, device: Device) -> Letter:
    """Open one letter and move the ratchets; call it in the transaction that stores its effect.

    Raises:
        BadLetter, NotForThisMailbox, BadKeyBundle, BadSignature, ForkedDeviceList.
    """
    key_id, outer_bytes = read_sealed_letter(waiting.sealed)
    own = OWN_XWING_KEY_TABLE.load(key_id.hex(), device.vault)
    if own is None:
        raise NotForThisMailbox(what="the key for it is not on this device, or was deleted")
    made_for = None if own.peer is None else PEER_TABLE.load(own.peer, device.vault)
    outer = open_outer_seal(
        own.private, write_hpke_info(_letter_address(own, made_for, me)), outer_bytes
    )
    header = read_header(outer.untrusted_header)
    _check_address(header, made_for, waiting, me)
    peer = PEER_TABLE.load(peer_key(header.from_person, header.from_device), device.vault)
    opened, sessions = _open_inner_letter(outer, header, peer, device)
    if not equal_in_constant_time(sha256(opened.body), header.body_sha256):
        raise NotForThisMailbox(what="its content does not match its header")
    body = read_body(opened.body)
    person = _authenticated_sender(body, header, device)
    _check_device_lists(header, person, me, device)
    _refuse_repeat_or_mark_seen(header, peer, device)
    _check_next_key(header)
    _store_ratchet_state(header, own, peer, sessions, device)
    return Letter(header, body, person)


def _letter_address(
    own_key: OwnXWingKey, made_for: PeerDevice | None, me: OwnIdentity
) -> LetterAddress:
    return LetterAddress(
        to_person=me.person.id,
        to_device=me.key.device,
        key=own_key.id,
        epoch=own_key.epoch,
        head=own_key.head,
        from_person=None if made_for is None else made_for.person,
        from_device=None if made_for is None else made_for.device,
    )


def _check_address(
    header: Header, made_for: PeerDevice | None, waiting: WaitingEnvelope, me: OwnIdentity
) -> None:
    if (header.to_person, header.to_device) != (me.person.id, me.key.device):
        raise NotForThisMailbox(what="it is for another device")
    if header.envelope != waiting.id:
        raise NotForThisMailbox(what="it does not belong to the envelope in which it came")
    if made_for is not None and (header.from_person, header.from_device) != (
        made_for.person,
        made_for.device,
    ):
        raise NotForThisMailbox(what="its key was made for a device other than its sender's")


def _open_inner_letter(
    outer: HalfOpenedLetter, header: Header, peer: PeerDevice | None, device: Device
) -> tuple[OpenedLetter, tuple[Secret, ...]]:
    """Return the opened letter, and the sessions with its sender, the current one first."""
    known_sessions = () if peer is None else peer.sessions
    for session in known_sessions:
        if outer.begins_session and not letter_began_session(session, outer):
            continue
        opened = _open_with_session(session, outer)
        if opened is not None:
            others = tuple(other for other in known_sessions if other != session)
            return opened, (opened.session, *others)
    if not outer.begins_session:
        raise NotForThisMailbox(what="it belongs to no encrypted conversation of this device")
    opened, account = open_first_letter(olm_account_of(device), header.curve25519, outer)
    store_olm_account(account, device)
    return opened, (opened.session, *known_sessions)[:SESSIONS_PER_DEVICE_MAX]


def _open_with_session(session: Secret, outer: HalfOpenedLetter) -> OpenedLetter | None:
    try:
        return open_letter(session, outer)
    except NotForThisMailbox:
        return None


def _authenticated_sender(body: Body, header: Header, device: Device) -> Person:
    """Return the person whose master key certified the device of this session."""
    contact = contact_by_id(header.from_person, device)
    if isinstance(body, Hello | ContactRequestNote) or (
        isinstance(body, KeyBundleNote) and contact
    ):
        person = _person_with_newer_list(verify_key_bundle(read_key_bundle(body.card)), contact)
    elif contact is None:
        raise NotForThisMailbox(what="it is from nobody you know")
    else:
        person = contact.person
    keys = [key for key in person.devices if key.device == header.from_device]
    if person.id != header.from_person or not keys:
        lacks = PersonDeviceListHead(header.from_person, header.from_epoch, header.from_head)
        raise NotForThisMailbox(
            what="it names a device that its sender does not have",
            lacks=lacks,
            by=header.from_person,
        )
    if not equal_in_constant_time(keys[0].curve25519, header.curve25519):
        raise NotForThisMailbox(what="it was encrypted with a key other than its sender's")
    return person


def _person_with_newer_list(shown: Person, contact: Contact | None) -> Person:
    """Return the person as described by the newer of two device lists: the one that the letter
    shows, and the one known for the contact.

    A device that is not on the newer list is rejected, whatever key bundle its letter shows.
    """
    known = None if contact is None else contact.person
    return known if known and known.id == shown.id and known.epoch > shown.epoch else shown


def _check_device_lists(header: Header, person: Person, me: OwnIdentity, device: Device) -> None:
    """Check that the two device lists named by the letter do not contradict the known ones.

    The letter may name an older list of its sender, since a person's other device may not know the
    newest one yet. :func:`_authenticated_sender` checks that the device is on the newest list.
    """
    contact = contact_by_id(person.id, device)
    shown = DeviceListHead(person.epoch, person.head)
    known = (shown,) if contact is None else known_list_heads(contact, device)
    named = DeviceListHead(header.from_epoch, header.from_head)
    try:
        check_heads_agree(known, (shown, named))
        check_heads_agree((shown,), (named,))
    except ForkedDeviceList:
        raise fork_error(person.id, named) from None
    older = named.epoch < max(person.epoch, known[-1].epoch)
    if older and named not in known:
        raise NotForThisMailbox(
            what="it names a list of its sender's devices that is too old to check"
        )
    _check_recipient_device_list(header, me)


def _check_recipient_device_list(header: Header, me: OwnIdentity) -> None:
    if header.from_person == me.person.id:
        _check_own_device_list(header)
        return
    head = me.person.head
    if header.to_epoch < me.person.epoch:
        heads = {one.epoch: one.digest for one in device_list_heads(read_key_bundle(me.card).lists)}
        # If the list is so old that our key bundle no longer contains it, accept the head in the
        # letter.
        head = heads.get(header.to_epoch, header.to_head)
    if header.to_epoch > me.person.epoch or not equal_in_constant_time(head, header.to_head):
        lacks = PersonDeviceListHead(me.person.id, header.to_epoch, header.to_head)
        raise NotForThisMailbox(
            what="it names a list of your devices that this device does not have",
            lacks=lacks,
            by=header.from_person,
        )


def _check_own_device_list(header: Header) -> None:
    """Check that a letter from another device of ours names the same list for both sides.

    The list may be newer than ours, since this letter may announce it.
    """
    to = header.to_epoch, header.to_head
    if to != (header.from_epoch, header.from_head):
        raise NotForThisMailbox(what="it names two different lists of your devices")


def _refuse_repeat_or_mark_seen(header: Header, peer: PeerDevice | None, device: Device) -> None:
    seen = frozenset[int]() if peer is None else peer.seen
    if (
        header.counter in seen
        or header.counter <= max(seen, default=0) - LETTER_COUNTER_WINDOW_SIZE
    ):
        raise NotForThisMailbox(what="it arrived here before")
    message = inbox_key(header.from_person, header.message)
    if device.vault.get(SEEN_MESSAGE, message) is not None:
        raise NotForThisMailbox(what="a message with the same identifier arrived here before")
    device.vault.put(SEEN_MESSAGE, message, b"")


def _check_next_key(header: Header) -> None:
    """Check the sender's next key. If it were invalid, we could never reply."""
    try:
        seal_to(header.next_key.public, b"", b"")
    except BadKey:
        raise NotForThisMailbox(what="the key for replying to it is not valid") from None


def _store_ratchet_state(
    header: Header,
    own_key: OwnXWingKey,
    peer: PeerDevice | None,
    sessions: tuple[Secret, ...],
    device: Device,
) -> None:
    """Store the new ratchet state, and delete our X-Wing keys to which the peer seals no more
    letters.
    """
    seen = frozenset[int]() if peer is None else peer.seen
    newest = header.counter > max(seen, default=0)
    moved = PeerDevice(
        device=header.from_device,
        person=header.from_person,
        sessions=sessions,
        seal_to=header.next_key,
        made_for_me=True,
        key_epoch=header.from_epoch,
        key_head=header.from_head,
        sent=0 if peer is None else peer.sent,
        seen=_counters_within_window(seen | {header.counter}),
    )
    if peer is not None:
        moved = _drop_unneeded_own_keys(moved, own_key, peer, device)
    if peer is not None and not newest:
        moved = _keep_newer_key_and_session(moved, peer)
    PEER_TABLE.store(moved, peer_key(header.from_person, header.from_device), device.vault)


def _keep_newer_key_and_session(moved: PeerDevice, peer: PeerDevice) -> PeerDevice:
    """Return the state after a late letter: with the key of the newest letter, or of the session
    that we have begun since then, and with that session first, so that we keep writing in it.
    """
    sessions = moved.sessions
    if not peer.made_for_me and peer.sessions and peer.sessions[0] in sessions:
        begun = peer.sessions[0]
        sessions = (begun, *(other for other in sessions if other != begun))
    return replace(
        moved,
        sessions=sessions,
        seal_to=peer.seal_to,
        made_for_me=peer.made_for_me,
        prekey=peer.prekey,
        key_epoch=peer.key_epoch,
        key_head=peer.key_head,
    )


def _drop_unneeded_own_keys(
    moved: PeerDevice, own_key: OwnXWingKey, peer: PeerDevice, device: Device
) -> PeerDevice:
    """Delete our X-Wing keys that are older than the newest one to which the peer has sealed a
    letter, unless a letter is missing that may be sealed to one of them.

    A peer never seals to an older key again, so only letters with lower counters can be sealed to
    an older key.
    """
    used = _newer_used_key(own_key.id, peer)
    if used not in peer.mine:
        return replace(moved, mine=peer.mine, used=used)
    needed = 0 if _is_any_letter_missing(moved.seen) else peer.mine.index(used)
    for forgotten in peer.mine[:needed]:
        OWN_XWING_KEY_TABLE.drop(forgotten.hex(), device.vault)
    return replace(moved, mine=peer.mine[needed:], used=used)


def _newer_used_key(key: bytes, peer: PeerDevice) -> bytes | None:
    """Return this key of ours or the one that the peer used before, whichever is newer."""
    age = {one: place for place, one in enumerate(peer.mine)}
    return key if age.get(key, -1) >= age.get(peer.used or b"", 0) else peer.used


def _is_any_letter_missing(counters: frozenset[int]) -> bool:
    """Return whether a letter is missing that would still be accepted."""
    newest = max(counters)
    return len(counters) < min(newest, LETTER_COUNTER_WINDOW_SIZE)


def _counters_within_window(counters: frozenset[int]) -> frozenset[int]:
    newest = max(counters)
    return frozenset(
        counter for counter in counters if counter > newest - LETTER_COUNTER_WINDOW_SIZE
    )
