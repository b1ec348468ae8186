"""The one step of a linking that only a revocation undoes: the new device comes onto the list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from entrenous.craft.crypto.link import seal_grant
from entrenous.craft.crypto.short_string import agreement
from entrenous.craft.crypto.statements import sign_certificate
from entrenous.craft.crypto.tokens import send_token
from entrenous.craft.wire.identity.card import write_card
from entrenous.craft.wire.identity.certificate import write_certificate
from entrenous.craft.wire.identity.link import write_link_message
from entrenous.craft.wire.identity.link_parts import write_grant
from entrenous.model.card import Card, Certificate, SignedCertificate
from entrenous.model.ids import DeviceId
from entrenous.model.link import Grant, Introduced, LinkAsk, LinkGrant, Offer, Sibling
from entrenous.model.outbox import Posting
from entrenous.model.secret import Secret
from entrenous.model.window import GivenWindow, LentToken
from entrenous.ports import Device
from entrenous.send.devices.link.mail import link_envelope
from entrenous.send.devices.lists.own_list import list_with, take_own_card
from entrenous.send.devices.lists.tell import tell_people_of_card, tell_siblings_of_card
from entrenous.send.devices.self import Me, who_am_i
from entrenous.send.devices.siblings import free_device_name, keep_sibling, own_name, siblings
from entrenous.send.moment import this_second
from entrenous.send.outbox import next_order, put_out
from entrenous.send.tokens.use import lend_tokens
from entrenous.send.tokens.windows import give_window, needed
from entrenous.spec import LENT_TOKENS

OLD: Final = b"old"  # by whom the word is that the transcript was agreed on


@dataclass(frozen=True, slots=True)
class Compared:
    """A linking whose pictures were the same on both devices.

    ``master`` signs; ``handed_on`` is it again, unless it lies on a sheet. ``private``, ``public``
    and ``transcript`` are what the pictures were made of.
    """

    offer: Offer
    ask: LinkAsk
    until: datetime
    master: Secret
    handed_on: Secret | None
    private: Secret
    public: bytes
    transcript: bytes


def put_on_list(compared: Compared, device: Device) -> None:
    """Sign the new list, and lay out the letters that tell of it, in one transaction.

    Our other devices hear of it first, then the new one, then everybody else.

    Raises:
        TooManyDevices.
    """
    offer = compared.offer
    with device.vault.together():
        me = who_am_i(device)
        card = list_with(compared.master, _certified(compared, me, device), offer.mailbox, device)
        name = free_device_name(
            offer.name, [own_name(device), *(one.name for one in siblings(device))]
        )
        keep_sibling(Sibling(offer.device, name, offer.close), device)
        take_own_card(card, device)
        tell_siblings_of_card({offer.device}, device)
        window = give_window(who_am_i(device).person, offer.device, device)
        put_out(_posting(compared, card, name, window, device), device)
        tell_people_of_card(device)


def _certified(compared: Compared, me: Me, device: Device) -> SignedCertificate:
    certificate = Certificate(
        person=me.person.id,
        device=compared.offer.device,
        ed25519=compared.offer.ed25519,
        curve25519=compared.offer.curve25519,
        mldsa65_hash=compared.offer.mldsa65_hash,
        created_at=this_second(device),
        enforces=compared.offer.enforces,
    )
    statement = write_certificate(certificate)
    signature = sign_certificate(compared.master, statement)
    return SignedCertificate(certificate, statement, signature)


def _posting(
    compared: Compared, card: Card, name: str, window: GivenWindow, device: Device
) -> Posting:
    grant = Grant(
        card=write_card(card),
        master=compared.handed_on,
        name=name,
        siblings=(_ourselves(window, device), *_others(compared.offer.device, device)),
        proof=agreement(compared.private, compared.public, compared.transcript, OLD),
    )
    sealed = seal_grant(compared.offer.seal_to, compared.transcript, write_grant(grant))
    message = write_link_message(LinkGrant(sealed))
    envelope = link_envelope(compared.ask.mailbox, message, compared.until, device)
    return Posting(
        order=next_order(device),
        relay_url=who_am_i(device).home.relay_url,
        token=compared.ask.token,
        envelope=envelope,
        needs=needed(window),
    )


def _ourselves(window: GivenWindow, device: Device) -> Introduced:
    me = who_am_i(device)
    indexes = range(window.first, window.first + LENT_TOKENS)
    lent = tuple(LentToken(at, send_token(window.seed, at)) for at in indexes)
    return Introduced(Sibling(me.key.device, own_name(device), me.home.close), lent)


def _others(besides: DeviceId, device: Device) -> tuple[Introduced, ...]:
    person = who_am_i(device).person.id
    return tuple(
        Introduced(one, lend_tokens(person, one.device, LENT_TOKENS, device))
        for one in siblings(device)
        if one.device != besides
    )
