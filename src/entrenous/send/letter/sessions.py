"""Begin a session with another device, from the prekeys that it left at its relay."""

from dataclasses import replace

from entrenous.craft.crypto.seal import begin_session
from entrenous.craft.crypto.statements import verify_prekey
from entrenous.craft.wire.identity.prekey import read_prekey
from entrenous.model.card import BadPrekey, PrekeyKind, SignedPrekey
from entrenous.model.device_list import Head
from entrenous.model.envelope import PrekeyBundle
from entrenous.model.letter import XWingKey
from entrenous.model.peer import Peer
from entrenous.ports import Device
from entrenous.send.devices.known_lists import check_head
from entrenous.send.devices.self import account_of
from entrenous.send.drawers import PEER, lay, peer_key, take
from entrenous.send.letter.write import Addressee


def have_session(to: Addressee, device: Device) -> None:
    """Make sure that there is a session with this device; asks its relay only if there is none.

    Raises:
        BadSignature, BadPrekey, BadKey, ForkedList, TooMany, RelayUnreachable, WrongToken.
    """
    person = to.contact.person
    whose = peer_key(person.id, to.key.device)
    met = take(Peer, PEER, whose, device.vault)
    if met is not None and met.sessions:
        return
    bundle = device.courier.claim_prekeys(
        person.relay_url, to.key.mailbox, to.contact.send_token, to.key.device
    )
    begun = _begun(bundle, to, device)
    if met is not None:
        begun = replace(begun, sent=met.sent, seen=met.seen)
    lay(begun, PEER, whose, device.vault)


def _begun(bundle: PrekeyBundle, to: Addressee, device: Device) -> Peer:
    if bundle.one_time is not None:
        begin = _proven(bundle.one_time, PrekeyKind.ONE_TIME, to, device)
    else:
        begin = _proven(bundle.fallback, PrekeyKind.FALLBACK, to, device)
    xwing = _proven(bundle.xwing, PrekeyKind.XWING, to, device)
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


def _proven(untrusted: bytes, kind: PrekeyKind, to: Addressee, device: Device) -> SignedPrekey:
    signed = read_prekey(untrusted)
    verify_prekey(signed, to.key)
    if signed.prekey.kind is not kind:
        raise BadPrekey
    check_head(to.contact, Head(signed.prekey.epoch, signed.prekey.head), device)
    return signed
