"""Envelopes of a linking: into the other side's mailbox, and out of one's own."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from entrenous.craft.crypto.hashing import lock_of
from entrenous.craft.wire.identity.link import (
    padded_link,
    read_link_message,
    unpadded_link,
    write_link_message,
)
from entrenous.model.envelope import Envelope, SendToken
from entrenous.model.errors import EntrenousError
from entrenous.model.ids import ID_BYTES, EnvelopeId, MailboxId
from entrenous.model.link import LinkMessage, LinkOver, LinkStop
from entrenous.model.relay_problem import (
    ClocksDiffer,
    Expired,
    NoSuchMailbox,
    TooFarAhead,
    WrongToken,
)
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.moment import this_second
from entrenous.send.refused_dates import clocks_differ
from entrenous.spec import LINK_MINUTES, LINK_USES, TOKEN_BYTES


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox in which one side of a linking receives, and until when it does."""

    relay_url: str
    mailbox: MailboxId
    owner: Secret
    token: Secret
    until: datetime

    def refuse_late(self, device: Device) -> None:
        """Return only while there is time.

        Raises:
            LinkOver.
        """
        if device.clock.now() >= self.until:
            raise LinkOver


def make_box(
    relay_url: str, mailbox: MailboxId, owner: Secret, close: Secret | None, device: Device
) -> Box:
    """Make a mailbox that takes as many envelopes as a linking has for it, for some minutes.

    Raises:
        RelayUnreachable, MailboxesClosed, NotEncrypted.
    """
    until = this_second(device) + timedelta(minutes=LINK_MINUTES)
    token = Secret(device.dice.token(TOKEN_BYTES))
    device.courier.create_mailbox(relay_url, mailbox, owner, close)
    lent = SendToken(lock_of(token), LINK_USES, until)
    device.courier.register_token(relay_url, mailbox, owner, lent)
    return Box(relay_url, mailbox, owner, token, until)


def link_envelope(mailbox: MailboxId, message: bytes, until: datetime, device: Device) -> Envelope:
    """The envelope of one message."""
    return Envelope(
        id=EnvelopeId(device.dice.token(ID_BYTES)),
        mailbox=mailbox,
        sealed=padded_link(message),
        expires_at=until,
        withdraw_lock=lock_of(Secret(device.dice.token(TOKEN_BYTES))),
    )


def post_message(  # noqa: PLR0913, PLR0917 - where it goes, and until when it is of use
    url: str, mailbox: MailboxId, token: Secret, message: bytes, until: datetime, device: Device
) -> None:
    """Put a message into the other side's mailbox.

    Raises:
        LinkOver: that one takes none any more.
        ClocksDiffer, RelayUnreachable.
    """
    try:
        device.courier.post(url, token, link_envelope(mailbox, message, until, device))
    except (WrongToken, NoSuchMailbox):
        raise LinkOver from None
    except (TooFarAhead, Expired) as why:
        raise clocks_differ(ClocksDiffer, why, url, device) from None


def tell_over(  # noqa: PLR0913, PLR0917 - as above
    url: str, mailbox: MailboxId, token: Secret, promise: bytes, until: datetime, device: Device
) -> None:
    """Tell the other side that it ended here, if that takes anything; else it finds out late."""
    try:
        stop = write_link_message(LinkStop(promise))
        post_message(url, mailbox, token, stop, until, device)
    except EntrenousError:
        return  # it is over in any case, and there is nothing that its person could do about it


def next_message(box: Box, device: Device) -> tuple[LinkMessage, bytes] | None:
    """The oldest message that waits, which the relay then forgets; None while there is none.

    Raises:
        BadLink: what came is none.
        LinkOver: its time is over.
        RelayUnreachable.
    """
    box.refuse_late(device)
    page = device.courier.waiting(box.relay_url, box.mailbox, box.owner, 0)
    if not page:
        return None
    device.courier.acknowledge(box.relay_url, box.mailbox, box.owner, page[0].id)
    message = unpadded_link(page[0].sealed)
    return read_link_message(message), message
