"""The new device's side of linking."""

from contextlib import suppress
from dataclasses import dataclass, replace

from entrenous.base.errors import EntrenousError, Malformed, Unproven
from entrenous.base.identifiers import ID_BYTES, DeviceId, MailboxId
from entrenous.base.limits import TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time
from entrenous.crypto.hpke import (
    XWING_PRIVATE_KEY_BYTES,
    xwing_private_key_from_seed,
    xwing_public_key,
)
from entrenous.crypto.identity_keys import (
    MLDSA65_SEED_BYTES,
    DeviceSigner,
    curve25519_public_key,
    ed25519_public_key,
    mldsa65_hash,
    mldsa65_public_key,
    new_device_signer,
)
from entrenous.crypto.short_auth_string import (
    ShortAuthString,
    agreement_proof,
    short_auth_string,
    x25519_public_key,
)
from entrenous.device.device import Device
from entrenous.device.identities import MailboxAddress, own_other_devices
from entrenous.send.devices.link_nouns import (
    LinkAnswer,
    LinkCode,
    LinkEnded,
    LinkGrant,
    LinkNotCompleted,
    LinkNotProven,
    LinkPicturesDifferOnNewDevice,
    LinkRequest,
    LinkReveal,
    NewDeviceGrant,
    NewDeviceOffer,
)
from entrenous.send.devices.link_steps import (
    OLD_DEVICE_TRANSCRIPT_LABEL,
    LinkEvent,
    LinkMailbox,
    LinkState,
    create_link_mailbox,
    next_link_state,
    post_link_message,
    post_link_stop,
    store_new_identity,
    take_next_link_message,
)
from entrenous.send.devices.own_key_bundle import ENFORCED_LIMITS
from entrenous.send.formats.linking import (
    link_commitment,
    link_transcript,
    open_grant,
    read_grant,
    read_link_code,
    seal_offer,
    write_link_message,
    write_offer,
)
from entrenous.send.people.keep_contacts import refuse_bad_name


@dataclass(frozen=True, slots=True)
class NewDeviceLinkInProgress:
    """The state of linking on the new device; messages are kept in encoded form, because the
    transcript hashes them.
    """

    state: LinkState
    code: LinkCode
    box: LinkMailbox
    signer: DeviceSigner
    private: Secret
    unseal: Secret
    offer: NewDeviceOffer
    asked: bytes
    promise: bytes
    answer: LinkAnswer | None = None
    transcript: bytes = b""

    @property
    def home(self) -> MailboxAddress:
        """The mailbox where this device will receive; it exists already."""
        return MailboxAddress(
            self.box.relay_url, self.offer.mailbox, self.box.owner, self.offer.close
        )

    @property
    def short_string(self) -> ShortAuthString:
        """The short string to compare; it is the same on both devices unless there is an attacker
        in the middle.

        Raises:
            LinkEnded: the old device has not answered yet.
        """
        if self.answer is None:
            raise LinkEnded
        return short_auth_string(self.private, self.answer.public, self.transcript)


def start_on_new_device(
    untrusted_code: str, name: str | None, device: Device
) -> NewDeviceLinkInProgress:
    """Start linking with the code that the old device shows; ``name`` is for this device.

    Nothing is stored in the vault before the grant (the old device's message that makes this device
    one of the user's) arrives.

    Raises:
        BadLinkCode, BadName, NotEncrypted, RelayUnreachable, MailboxesClosed, ClocksDiffer.
        LinkEnded: the code has expired.
    """
    code = read_link_code(untrusted_code.strip())
    if name is not None:
        refuse_bad_name(name)
    unseal = xwing_private_key_from_seed(device.random_source.token(XWING_PRIVATE_KEY_BYTES))
    name_of_device, mailbox = (device.random_source.token(ID_BYTES) for _ in range(2))
    close, owner, private = (Secret(device.random_source.token(TOKEN_BYTES)) for _ in range(3))
    signer = new_device_signer(device.random_source.token(MLDSA65_SEED_BYTES))
    offer = NewDeviceOffer(
        ed25519=ed25519_public_key(signer.account),
        curve25519=curve25519_public_key(signer.account),
        mldsa65_hash=mldsa65_hash(mldsa65_public_key(signer)),
        device=DeviceId(name_of_device),
        enforces=ENFORCED_LIMITS,
        seal_to=xwing_public_key(unseal),
        mailbox=MailboxId(mailbox),
        close=close,
        name=name,
    )
    promise = link_commitment(x25519_public_key(private), write_offer(offer))
    try:
        box = create_link_mailbox(code.relay_url, offer.mailbox, owner, offer.close, device)
        asked = write_link_message(LinkRequest(box.mailbox, box.token, promise))
        post_link_message(code.relay_url, code.mailbox, code.token, asked, box.until, device)
    except BaseException:
        _delete_mailbox(code.relay_url, offer.mailbox, owner, device)
        raise
    return NewDeviceLinkInProgress(
        LinkState.ASKED, code, box, signer, private, unseal, offer, asked, promise
    )


def poll_new_device(new: NewDeviceLinkInProgress, device: Device) -> NewDeviceLinkInProgress:
    """Process the next message, if one has arrived.

    Raises:
        LinkNotCompleted: time ran out, the old device ended the linking, or a message was out of
            order or invalid.
        RelayUnreachable.
    """
    try:
        return _process_next_message(new, device)
    except (Malformed, Unproven, LinkEnded):
        end_on_new_device(new, device)
        raise LinkNotCompleted from None


def confirm_on_new_device(new: NewDeviceLinkInProgress) -> NewDeviceLinkInProgress:
    """Record the user's answer that both devices show the same pictures; accept a grant from now
    on.

    Raises:
        LinkEnded.
    """
    if next_link_state(new.state, LinkEvent.SAME) is not LinkState.AGREED:
        raise LinkEnded
    return replace(new, state=LinkState.AGREED)


def reject_on_new_device(new: NewDeviceLinkInProgress, device: Device) -> None:
    """End linking, since the user says that the devices show different pictures.

    The error also says how to check the old device's list, since the device of an attacker in the
    middle may already be on that list.

    Raises:
        LinkPicturesDifferOnNewDevice: always.
    """
    end_on_new_device(new, device)
    raise LinkPicturesDifferOnNewDevice


def end_on_new_device(new: NewDeviceLinkInProgress, device: Device) -> None:
    """End linking: tell the old device, and delete the mailbox, if the relay answers.

    Does nothing if the grant has arrived meanwhile, since this device is then listed with that
    mailbox.
    """
    if own_other_devices(device) is not None:
        return
    code, until = new.code, new.box.until
    post_link_stop(code.relay_url, code.mailbox, code.token, new.promise, until, device)
    _delete_mailbox(code.relay_url, new.box.mailbox, new.box.owner, device)


def _delete_mailbox(relay_url: str, mailbox: MailboxId, owner: Secret, device: Device) -> None:
    """Delete this device's new mailbox if the relay answers.

    Otherwise the mailbox stays, and accepts nothing after ten minutes.
    """
    with suppress(EntrenousError):
        device.courier.close_mailbox(relay_url, mailbox, owner)


def _process_next_message(new: NewDeviceLinkInProgress, device: Device) -> NewDeviceLinkInProgress:
    arrived = take_next_link_message(new.box, device)
    if arrived is None:
        return new
    message, encoded = arrived
    match message:
        case LinkAnswer() if next_link_state(new.state, LinkEvent.ANSWER) is LinkState.SHOWN:
            return _send_offer(new, message, encoded, device)
        case LinkGrant() if next_link_state(new.state, LinkEvent.GRANT) is LinkState.LINKED:
            return _accept_grant(new, message, device)
    raise LinkEnded


def _send_offer(
    new: NewDeviceLinkInProgress, answer: LinkAnswer, encoded: bytes, device: Device
) -> NewDeviceLinkInProgress:
    offer = write_offer(new.offer)
    sealed = seal_offer(answer.seal_to, new.asked, encoded, offer)
    shown = write_link_message(LinkReveal(x25519_public_key(new.private), sealed))
    transcript = link_transcript(new.asked, encoded)
    following = replace(new, state=LinkState.SHOWN, answer=answer, transcript=transcript)
    following.short_string  # noqa: B018 - may raise BadKey, before anything is sent
    code, until = new.code, new.box.until
    post_link_message(code.relay_url, code.mailbox, code.token, shown, until, device)
    return following


def _accept_grant(
    new: NewDeviceLinkInProgress, message: LinkGrant, device: Device
) -> NewDeviceLinkInProgress:
    grant = read_grant(open_grant(new.unseal, new.transcript, message.sealed))
    _check_grant(grant, new)
    store_new_identity(grant, new.offer, new.signer, new.box, device)
    return replace(new, state=LinkState.LINKED)


def _check_grant(grant: NewDeviceGrant, new: NewDeviceLinkInProgress) -> None:
    """Check that the grant is from the device with which this one compared pictures."""
    if new.answer is None:
        raise LinkNotProven
    proof = agreement_proof(
        new.private, new.answer.public, new.transcript, OLD_DEVICE_TRANSCRIPT_LABEL
    )
    if not equal_in_constant_time(proof, grant.proof):
        raise LinkNotProven
