"""The messages and errors of linking another device of the same person (docs/spec/devices.md,
section 2).
"""

from dataclasses import dataclass

from entrenous.base.errors import EntrenousError, Malformed, Refused, Unproven
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.secret import Secret
from entrenous.send.devices.linked_devices import IntroducedDevice


@dataclass(frozen=True, slots=True)
class LinkCode:
    """Shown by the old device: a mailbox made for this linking, and the token to write to it."""

    relay_url: str
    mailbox: MailboxId
    token: Secret


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """New device to old: the address for the answer. ``promise`` is a commitment (32 bytes) to the
    new device's key and offer.
    """

    mailbox: MailboxId
    token: Secret
    promise: bytes


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """Old device to new: its X25519 key (32 bytes), and the X-Wing key to seal the offer to."""

    public: bytes
    seal_to: bytes


@dataclass(frozen=True, slots=True)
class LinkReveal:
    """New device to old: the committed key and the sealed offer."""

    public: bytes
    sealed_offer: bytes


@dataclass(frozen=True, slots=True)
class LinkGrant:
    """Old device to new: the sealed grant, once the new device is on the list."""

    sealed: bytes


@dataclass(frozen=True, slots=True)
class LinkStop:
    """From either device: linking has ended here; the ``promise`` of the LinkRequest identifies the
    linking.
    """

    promise: bytes


LinkMessage = LinkRequest | LinkAnswer | LinkReveal | LinkGrant | LinkStop


@dataclass(frozen=True, slots=True)
class NewDeviceOffer:
    """The new device's keys, its mailbox, and the token that deletes that mailbox.

    ``mldsa65_hash`` (32 bytes) is the hash of the new device's ML-DSA-65 key. ``name`` is the
    user's name for the new device, known to their own devices only; if it is None, the old device
    chooses a name.
    """

    ed25519: bytes
    curve25519: bytes
    mldsa65_hash: bytes
    device: DeviceId
    enforces: tuple[int, ...]
    seal_to: bytes
    mailbox: MailboxId
    close: Secret
    name: str | None


@dataclass(frozen=True, slots=True)
class NewDeviceGrant:
    """What the new device receives from the old one.

    These are the key bundle that lists the new device, the master key (unless it is on a recovery
    sheet), the new device's name, the other devices, and the old device's confirmation of the
    transcript.
    """

    card: bytes
    master: Secret | None
    name: str
    linked_devices: tuple[IntroducedDevice, ...]
    proof: bytes


class BadLinkCode(Malformed):
    """
    This is not a link code, or one of its characters is wrong or missing. Nothing was linked. A
    link code begins with "entrenous-link:2:" (without the quotation marks). To see one, run this on
    your other device: entrenous device add
    """


class BadLink(Malformed):
    """
    The other device sent invalid data, so linking was stopped and nothing was linked. Start again
    on your other device: entrenous device add
    """


class LinkEnded(Refused):
    """
    Linking has ended: either more than ten minutes passed, or the link code was already used, or a
    message arrived out of order. Nothing was linked. To start again, run this on a device that you
    already use: entrenous device add
    """


class LinkEndedByOtherDevice(LinkEnded):
    """
    Your other device stopped the linking, so nothing was linked. It does that when you stop the
    linking there, when you answer there that the pictures differ, or when an error occurs there. If
    none of this happened, somebody may be intercepting the connection. To start again with a new
    link code: entrenous device add
    """


class LinkInterruptedByMove(LinkEnded):
    """
    While you compared the pictures here, another device of yours moved to another relay. The new
    device has no mailbox there yet, so nothing was linked. Start again: entrenous device add
    """


class LinkEndedAfterGrant(LinkEnded):
    """
    You answered "yes" here, but linking was then stopped on the other device, or somebody there
    answered that the pictures differ. The new device is already on your list of devices, and the
    people you write to are notified of the new device. Remove it now: entrenous device revoke NAME
    --lost
    """


class LinkPicturesDiffer(Unproven):
    """
    You answered that the two devices show different pictures, so nothing was linked: somebody may
    be intercepting the connection. To start again with a new link code: entrenous device add
    """


class LinkPicturesDifferOnNewDevice(Unproven):
    """
    You answered that the two devices show different pictures, so this device was not linked:
    somebody may be intercepting the connection. If you answered "yes" on your other device, a
    stranger's device may now be on your list of devices. Look at the list on your other device:
    entrenous device list. If a device that is not yours is on it, remove that device: entrenous
    device revoke NAME --lost. To start again, run this on your other device: entrenous device add
    """


class LinkNotCompleted(LinkEnded):
    """
    The linking has ended, and this device was not linked. There are four possible reasons: your
    other device stopped the linking, or more than ten minutes passed, or the link code was already
    used, or a message was invalid or arrived out of order. If you are sure that none of the first
    three reasons applies, somebody may be intercepting the connection. If this device is already in
    the list on your other device, remove it there: entrenous device revoke NAME. To start again,
    run this on your other device: entrenous device add
    """


class LinkNotProven(Unproven):
    """
    The other device's data does not match the pictures that both devices showed, so this device was
    not linked. Start again on your other device: entrenous device add
    """


class LinkStoppedHere(LinkEnded):
    """
    You stopped this linking, so nothing was linked. To start again, run this on a device that you
    already use: entrenous device add
    """


class StoppedAfterGrant(EntrenousError):
    """
    You stopped this command, but {name} is already on your list of devices, and the people you
    write to are notified of it. The linking is completed when {name} answers. If {name} never
    answers, remove it: entrenous device revoke NAME
    """

    # Not one of the five families in base/errors.py: nothing failed, the user stopped it.
    family = "interrupted"


class StoppedAfterLinking(EntrenousError):
    """
    Stopped, but this device is already on your list of devices and stays there. To continue
    linking, run here: entrenous inbox. If you do not want to use this device, run this on your
    other device: entrenous device revoke NAME
    """

    family = "interrupted"
