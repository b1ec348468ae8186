"""The steps of linking: its states (docs/machines/link.md), its messages, and the grant. The new
device joins the list before the grant is sent, and only a revocation can undo that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from entrenous.base.errors import (
    ClocksDiffer,
    EntrenousError,
    Expired,
    NoSuchMailbox,
    TooFarAhead,
    WrongToken,
)
from entrenous.base.identifiers import ID_BYTES, DeviceId, EnvelopeId, MailboxId
from entrenous.base.identity import (
    CertifiedDevice,
    DeviceCertificate,
    KeyBundle,
    Person,
    SignedDeviceCertificate,
)
from entrenous.base.limits import (
    LENT_TOKENS_PER_DEVICE,
    LINK_TOKEN_USES_MAX,
    LINKING_MINUTES_MAX,
    TOKEN_BYTES,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time, token_hash
from entrenous.crypto.identity_keys import DeviceSigner, public_master_keys
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.crypto.short_auth_string import agreement_proof
from entrenous.crypto.statements import sign_certificate, verify_key_bundle
from entrenous.device.device import Device
from entrenous.device.identities import (
    DEVICE_NAME_RECORD,
    SETUP_UNFINISHED_RECORD,
    Identity,
    MailboxAddress,
    OwnIdentity,
    own_device,
    own_name,
    store_identity,
    store_signer,
)
from entrenous.device.vault_tables import DEVICE_TO_GREET, OWN_RECORDS, peer_key
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.devices.device_lists import accept_own_bundle, sign_list_adding
from entrenous.send.devices.link_nouns import (
    LinkEnded,
    LinkGrant,
    LinkMessage,
    LinkNotProven,
    LinkRequest,
    LinkStop,
    NewDeviceGrant,
    NewDeviceOffer,
)
from entrenous.send.devices.linked_devices import (
    IntroducedDevice,
    LinkedDevice,
    free_device_name,
    own_linked_devices,
    store_linked_device,
)
from entrenous.send.devices.list_letters import (
    queue_bundle_for_contacts,
    queue_bundle_for_own_devices,
)
from entrenous.send.formats.linking import (
    pad_link_message,
    read_link_message,
    seal_grant,
    unpad_link_message,
    write_grant,
    write_link_message,
)
from entrenous.send.outbox import (
    OutboxItem,
    clock_difference_error,
    next_outbox_order,
    store_outbox_item,
)
from entrenous.send.tokens.issue import issue_range, last_handed_out_token_hash
from entrenous.send.tokens.token_ranges import IssuedRange, LentToken
from entrenous.send.tokens.use import lend_tokens, receive_lent_tokens
from entrenous.wire.key_bundle import read_key_bundle, write_certificate, write_key_bundle
from entrenous.wire.relay_nouns import Envelope, SendToken, SendTokenChanges


class LinkState(StrEnum):
    """The state of a linking; the first four are the old device's, the next three the new one's."""

    OFFERED = "offered"  # the code is shown
    ANSWERED = "answered"  # the old device has shown its key
    COMPARING = "comparing"  # the old device shows the pictures
    GRANTED = "granted"  # the new device is on the list, and may not know it yet
    ASKED = "asked"  # the new device has committed to its key
    SHOWN = "shown"  # the new device shows the pictures
    AGREED = "agreed"  # the new device's user said that the pictures are the same
    LINKED = "linked"
    ENDED = "ended"


class LinkEvent(StrEnum):
    ASK = "ask"  # the first message arrived
    ANSWER = "answer"  # the second message arrived
    SHOW = "show"  # the third message arrived, and matches the commitment
    SAME = "same"  # the user says that both devices show the same pictures
    GRANT = "grant"  # the fourth message arrived, and is authentic
    HELLO = "hello"  # the new device's first letter arrived
    STOP = "stop"  # the pictures differ, time ran out, or a message is invalid


_REGULAR_LINK_TRANSITIONS: Final[Mapping[tuple[LinkState, LinkEvent], LinkState]] = {
    (LinkState.OFFERED, LinkEvent.ASK): LinkState.ANSWERED,
    (LinkState.ANSWERED, LinkEvent.SHOW): LinkState.COMPARING,
    (LinkState.COMPARING, LinkEvent.SAME): LinkState.GRANTED,
    (LinkState.GRANTED, LinkEvent.HELLO): LinkState.LINKED,
    (LinkState.ASKED, LinkEvent.ANSWER): LinkState.SHOWN,
    (LinkState.SHOWN, LinkEvent.SAME): LinkState.AGREED,
    (LinkState.AGREED, LinkEvent.GRANT): LinkState.LINKED,
}
#: Once the list with the new device is signed, only ``entrenous device revoke`` can undo linking.
_UNSTOPPABLE_STATES: Final = (LinkState.GRANTED, LinkState.LINKED)
NEXT_LINK_STATE: Final[Mapping[tuple[LinkState, LinkEvent], LinkState]] = {
    (state, event): _REGULAR_LINK_TRANSITIONS.get(
        (state, event), state if state in _UNSTOPPABLE_STATES else LinkState.ENDED
    )
    for state in LinkState
    for event in LinkEvent
}


def next_link_state(state: LinkState, event: LinkEvent) -> LinkState:
    return NEXT_LINK_STATE[state, event]


@dataclass(frozen=True, slots=True)
class LinkMailbox:
    """A mailbox where one side of a linking receives, until ``until``."""

    relay_url: str
    mailbox: MailboxId
    owner: Secret
    token: Secret
    until: datetime

    def refuse_after_timeout(self, device: Device) -> None:
        """Raise LinkEnded if time has run out."""
        if device.clock.now() >= self.until:
            raise LinkEnded


def create_link_mailbox(
    relay_url: str, mailbox: MailboxId, owner: Secret, close: Secret | None, device: Device
) -> LinkMailbox:
    """Create a mailbox, and register a token for the messages of one linking, for ten minutes.

    Raises:
        ClocksDiffer: the ten minutes are over already by the relay's clock.
        RelayUnreachable, MailboxesClosed, NotEncrypted.
    """
    until = now_in_whole_seconds(device) + timedelta(minutes=LINKING_MINUTES_MAX)
    token = Secret(device.random_source.token(TOKEN_BYTES))
    device.courier.create_mailbox(relay_url, mailbox, owner, close)
    _refuse_clock_behind(relay_url, mailbox, owner, until, device)
    lent = SendToken(token_hash(token), LINK_TOKEN_USES_MAX, until)
    device.courier.register_token(relay_url, mailbox, owner, lent)
    return LinkMailbox(relay_url, mailbox, owner, token, until)


def _refuse_clock_behind(
    relay_url: str, mailbox: MailboxId, owner: Secret, until: datetime, device: Device
) -> None:
    """Raise ClocksDiffer if ``until`` is past for the relay, which registers even a past token."""
    try:
        device.courier.change_tokens(relay_url, mailbox, owner, SendTokenChanges((), (), until))
    except Expired as why:
        raise clock_difference_error(ClocksDiffer, why, relay_url, device) from None


def link_envelope(mailbox: MailboxId, message: bytes, until: datetime, device: Device) -> Envelope:
    """Return the envelope for one linking message."""
    return Envelope(
        id=EnvelopeId(device.random_source.token(ID_BYTES)),
        mailbox=mailbox,
        sealed=pad_link_message(message),
        expires_at=until,
        withdraw_lock=token_hash(Secret(device.random_source.token(TOKEN_BYTES))),
    )


def post_link_message(  # noqa: PLR0913, PLR0917 - an address, a message and a time limit
    url: str, mailbox: MailboxId, token: Secret, message: bytes, until: datetime, device: Device
) -> None:
    """Post a message to the other side's mailbox.

    Raises:
        LinkEnded: the mailbox accepts no more messages of this linking.
        ClocksDiffer, RelayUnreachable.
    """
    try:
        device.courier.post(url, token, link_envelope(mailbox, message, until, device))
    except (WrongToken, NoSuchMailbox):
        raise LinkEnded from None
    except (TooFarAhead, Expired) as why:
        raise clock_difference_error(ClocksDiffer, why, url, device) from None


def post_link_stop(  # noqa: PLR0913, PLR0917 - an address, a commitment and a time limit
    url: str, mailbox: MailboxId, token: Secret, promise: bytes, until: datetime, device: Device
) -> None:
    """Tell the other side that linking ended, if possible; otherwise its time runs out."""
    try:
        stop = write_link_message(LinkStop(promise))
        post_link_message(url, mailbox, token, stop, until, device)
    except EntrenousError:
        return  # linking has ended in any case, and the user could not do anything about the error


def take_next_link_message(box: LinkMailbox, device: Device) -> tuple[LinkMessage, bytes] | None:
    """Return the oldest waiting message, decoded and encoded, and delete it; None if none waits.

    Raises:
        BadLink: the message is invalid.
        LinkEnded: time ran out.
        RelayUnreachable.
    """
    box.refuse_after_timeout(device)
    page = device.courier.waiting_envelopes(box.relay_url, box.mailbox, box.owner, 0)
    if not page:
        return None
    device.courier.acknowledge(box.relay_url, box.mailbox, box.owner, page[0].id)
    message = unpad_link_message(page[0].sealed)
    return read_link_message(message), message


def store_new_identity(
    grant: NewDeviceGrant,
    offer: NewDeviceOffer,
    signer: DeviceSigner,
    box: LinkMailbox,
    device: Device,
) -> None:
    """Store this device's new identity, in one transaction. The relay learns of it when the
    outbox is next sent.

    Raises:
        BadKeyBundle, BadSignature: the key bundle is invalid.
        LinkNotProven: the key bundle does not list exactly this device's keys and mailbox, names
            another relay, or has other master keys than the grant.
    """
    card = read_key_bundle(grant.card)
    person = verify_key_bundle(card)
    key = _listed_key(person, offer)
    _check_master_key(grant, card)
    home = MailboxAddress(person.relay_url, offer.mailbox, box.owner, offer.close)
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
    with device.vault.transaction():
        store_signer(signer, device)
        store_identity(identity, device)
        device.vault.put(OWN_RECORDS, SETUP_UNFINISHED_RECORD, b"")
        device.vault.put(OWN_RECORDS, DEVICE_NAME_RECORD, grant.name.encode())
        _store_other_devices(grant, person, device)


def _listed_key(person: Person, offer: NewDeviceOffer) -> CertifiedDevice:
    for key in person.devices:
        offered = (offer.device, offer.ed25519, offer.curve25519, offer.mldsa65_hash)
        if key.id_and_keys == offered and key.mailbox == offer.mailbox:
            return key
    raise LinkNotProven


def _check_master_key(grant: NewDeviceGrant, card: KeyBundle) -> None:
    if grant.master is None:
        return
    public = public_master_keys(grant.master)
    if not equal_in_constant_time(
        public.ed25519 + public.mldsa65, card.master.ed25519 + card.master.mldsa65
    ):
        raise LinkNotProven


def _store_other_devices(grant: NewDeviceGrant, person: Person, device: Device) -> None:
    listed = {key.device for key in person.devices}
    for one in grant.linked_devices:
        if one.linked.device in listed:
            store_linked_device(one.linked, device)
            receive_lent_tokens(person.id, one.linked.device, one.lent, device)
            device.vault.put(DEVICE_TO_GREET, peer_key(person.id, one.linked.device), b"")


OLD_DEVICE_TRANSCRIPT_LABEL: Final = (
    b"old"  # identifies the old device in its confirmation of the transcript
)


@dataclass(frozen=True, slots=True)
class LinkConfirmedOnOldDevice:
    """A linking that the user confirmed on the old device: both devices show the same pictures.

    ``master`` is the master key, which signs the list; ``handed_on`` is the same key if the new
    device gets it, or None if it is on a recovery sheet. ``private``, ``public`` and ``transcript``
    are what the pictures were computed from.
    """

    offer: NewDeviceOffer
    ask: LinkRequest
    until: datetime
    master: Secret
    handed_on: Secret | None
    private: Secret
    public: bytes
    transcript: bytes


def add_new_device_to_list(compared: LinkConfirmedOnOldDevice, device: Device) -> None:
    """Sign the list with the new device, and queue the letters about it, in one transaction.

    Our other devices are told first, then the new one, then everybody else.

    Raises:
        TooManyDevices.
    """
    offer = compared.offer
    with device.vault.transaction():
        me = own_device(device)
        card = sign_list_adding(
            compared.master, _certify_new_device(compared, me, device), offer.mailbox, device
        )
        name = free_device_name(
            offer.name, [own_name(device), *(one.name for one in own_linked_devices(device))]
        )
        store_linked_device(LinkedDevice(offer.device, name, offer.close), device)
        accept_own_bundle(card, device)
        queue_bundle_for_own_devices({offer.device}, device)
        issued = issue_range(own_device(device).person, offer.device, device)
        store_outbox_item(_grant_outbox_item(compared, card, name, issued, device), device)
        queue_bundle_for_contacts(device)


def _certify_new_device(
    compared: LinkConfirmedOnOldDevice, me: OwnIdentity, device: Device
) -> SignedDeviceCertificate:
    certificate = DeviceCertificate(
        person=me.person.id,
        device=compared.offer.device,
        ed25519=compared.offer.ed25519,
        curve25519=compared.offer.curve25519,
        mldsa65_hash=compared.offer.mldsa65_hash,
        created_at=now_in_whole_seconds(device),
        enforces=compared.offer.enforces,
    )
    statement = write_certificate(certificate)
    signature = sign_certificate(compared.master, statement)
    return SignedDeviceCertificate(certificate, statement, signature)


def _grant_outbox_item(
    compared: LinkConfirmedOnOldDevice,
    card: KeyBundle,
    name: str,
    issued: IssuedRange,
    device: Device,
) -> OutboxItem:
    grant = NewDeviceGrant(
        card=write_key_bundle(card),
        master=compared.handed_on,
        name=name,
        linked_devices=(
            _introduce_this_device(issued, device),
            *_introduce_linked_devices(compared.offer.device, device),
        ),
        proof=agreement_proof(
            compared.private, compared.public, compared.transcript, OLD_DEVICE_TRANSCRIPT_LABEL
        ),
    )
    sealed = seal_grant(compared.offer.seal_to, compared.transcript, write_grant(grant))
    message = write_link_message(LinkGrant(sealed))
    envelope = link_envelope(compared.ask.mailbox, message, compared.until, device)
    return OutboxItem(
        order=next_outbox_order(device),
        relay_url=own_device(device).home.relay_url,
        token=compared.ask.token,
        envelope=envelope,
        needs=last_handed_out_token_hash(issued),
    )


def _introduce_this_device(issued: IssuedRange, device: Device) -> IntroducedDevice:
    me = own_device(device)
    indexes = range(issued.first, issued.first + LENT_TOKENS_PER_DEVICE)
    lent = tuple(LentToken(at, derive_send_token(issued.seed, at)) for at in indexes)
    return IntroducedDevice(LinkedDevice(me.key.device, own_name(device), me.home.close), lent)


def _introduce_linked_devices(besides: DeviceId, device: Device) -> tuple[IntroducedDevice, ...]:
    person = own_device(device).person.id
    return tuple(
        IntroducedDevice(one, lend_tokens(person, one.device, LENT_TOKENS_PER_DEVICE, device))
        for one in own_linked_devices(device)
        if one.device != besides
    )
