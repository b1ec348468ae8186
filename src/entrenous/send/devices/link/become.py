"""Be the device that was granted: identity, siblings, and what is still to be done at the relay."""

from entrenous.craft.crypto.device import DeviceSigner
from entrenous.craft.crypto.hashing import same
from entrenous.craft.crypto.master import public_master
from entrenous.craft.crypto.statements import verify_card
from entrenous.craft.wire.identity.card import read_card
from entrenous.model.card import Card
from entrenous.model.identity import Home, Identity
from entrenous.model.link import Grant, LinkNotProven, Offer
from entrenous.model.person import DeviceKey, Person
from entrenous.ports import Device
from entrenous.send.devices.link.mail import Box
from entrenous.send.devices.self import DEVICE_NAME, UNFINISHED, keep_identity, keep_signer
from entrenous.send.devices.siblings import keep_sibling
from entrenous.send.drawers import GREET_DEVICE, SELF, peer_key
from entrenous.send.tokens.use import take_lent


def become(grant: Grant, offer: Offer, signer: DeviceSigner, box: Box, device: Device) -> None:
    """Store who this device is now, in one transaction; the next flush tells the relay.

    Raises:
        BadCard, BadSignature, LinkNotProven: the card is not one that lists just this device.
    """
    card = read_card(grant.card)
    person = verify_card(card)
    key = _own_key(person, offer)
    _check_master(grant, card)
    home = Home(person.relay_url, offer.mailbox, box.owner, offer.close)
    if home.relay_url != box.relay_url:
        raise LinkNotProven
    identity = Identity(
        name=person.name,
        device=offer.device,
        created_at=key.created_at,
        home=home,
        person=person,
        card=grant.card,
        master=grant.master,
    )
    with device.vault.together():
        keep_signer(signer, device)
        keep_identity(identity, device)
        device.vault.put(SELF, UNFINISHED, b"")
        device.vault.put(SELF, DEVICE_NAME, grant.name.encode())
        _meet_siblings(grant, person, device)


def _own_key(person: Person, offer: Offer) -> DeviceKey:
    for key in person.devices:
        offered = (offer.device, offer.ed25519, offer.curve25519, offer.mldsa65_hash)
        if key.keys == offered and key.mailbox == offer.mailbox:
            return key
    raise LinkNotProven


def _check_master(grant: Grant, card: Card) -> None:
    if grant.master is None:
        return
    public = public_master(grant.master)
    if not same(public.ed25519 + public.mldsa65, card.master.ed25519 + card.master.mldsa65):
        raise LinkNotProven


def _meet_siblings(grant: Grant, person: Person, device: Device) -> None:
    listed = {key.device for key in person.devices}
    for one in grant.siblings:
        if one.sibling.device in listed:
            keep_sibling(one.sibling, device)
            take_lent(person.id, one.sibling.device, one.lent, device)
            device.vault.put(GREET_DEVICE, peer_key(person.id, one.sibling.device), b"")
