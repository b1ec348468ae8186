"""Begin a session with another device, from the prekeys that it left at its relay."""

from dataclasses import replace

from entrenous.craft.crypto.seal import begin_session
from entrenous.craft.crypto.statements import verify_prekey
from entrenous.craft.wire.prekey import read_prekey
from entrenous.model.card import BadPrekey, PrekeyKind, SignedPrekey
from entrenous.model.envelope import PrekeyBundle
from entrenous.model.letter import XWingKey
from entrenous.model.peer import Peer
from entrenous.model.person import DeviceKey
from entrenous.ports import Device
from entrenous.send.drawers import PEER, lay, peer_key, take
from entrenous.send.letters import Addressee
from entrenous.send.self import account_of


def have_session(to: Addressee, device: Device) -> None:
    """Make sure that there is a session with this device; asks its relay only if there is none.

    Raises:
        BadSignature, BadPrekey, BadKey, TooMany, RelayUnreachable, WrongToken.
    """
    person = to.contact.person
    whose = peer_key(person.id, to.key.device)
    met = take(Peer, PEER, whose, device.vault)
    if met is not None and met.sessions:
        return
    bundle = device.courier.claim_prekeys(
        person.relay_url, person.mailbox, to.contact.send_token, to.key.device
    )
    begun = _begun(bundle, to, device)
    if met is not None:
        begun = replace(begun, sent=met.sent, seen=met.seen)
    lay(begun, PEER, whose, device.vault)


def _begun(bundle: PrekeyBundle, to: Addressee, device: Device) -> Peer:
    if bundle.one_time is not None:
        begin = _proven(bundle.one_time, PrekeyKind.ONE_TIME, to.key)
    else:
        begin = _proven(bundle.fallback, PrekeyKind.FALLBACK, to.key)
    xwing = _proven(bundle.xwing, PrekeyKind.XWING, to.key)
    session = begin_session(account_of(device), to.key.curve25519, begin.prekey.public)
    return Peer(
        device=to.key.device,
        person=to.contact.person.id,
        sessions=(session,),
        seal_to=XWingKey(xwing.prekey.id, xwing.prekey.public),
        made_for_me=False,
        key_epoch=xwing.prekey.epoch,
        prekey=begin.prekey.id,
    )


def _proven(untrusted: bytes, kind: PrekeyKind, by: DeviceKey) -> SignedPrekey:
    signed = read_prekey(untrusted)
    verify_prekey(signed, by)
    if signed.prekey.kind is not kind:
        raise BadPrekey
    return signed
