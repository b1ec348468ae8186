"""The old device's side of linking."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from entrenous.base.errors import EntrenousError, Malformed, Unproven
from entrenous.base.identifiers import ID_BYTES, MailboxId
from entrenous.base.limits import DEVICES_MAX, LINKING_MINUTES_MAX, TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time
from entrenous.crypto.hpke import (
    XWING_PRIVATE_KEY_BYTES,
    xwing_private_key_from_seed,
    xwing_public_key,
)
from entrenous.crypto.nouns import BadKey
from entrenous.crypto.short_auth_string import ShortAuthString, short_auth_string, x25519_public_key
from entrenous.device.device import Device
from entrenous.device.identities import own_device, refuse_unconfirmed_unlock
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.devices.device_lists import find_master_key
from entrenous.send.devices.link_nouns import (
    LinkAnswer,
    LinkCode,
    LinkEnded,
    LinkEndedAfterGrant,
    LinkEndedByOtherDevice,
    LinkInterruptedByMove,
    LinkPicturesDiffer,
    LinkRequest,
    LinkReveal,
    LinkStop,
    NewDeviceOffer,
)
from entrenous.send.devices.link_steps import (
    LinkConfirmedOnOldDevice,
    LinkEvent,
    LinkMailbox,
    LinkState,
    add_new_device_to_list,
    create_link_mailbox,
    next_link_state,
    post_link_message,
    post_link_stop,
    take_next_link_message,
)
from entrenous.send.devices.linked_devices import (
    MailboxDeletion,
    TooManyDevices,
    linked_device_by_id,
    own_linked_devices,
)
from entrenous.send.devices.move_device import DevicesHaveNotFollowedMove
from entrenous.send.devices.own_key_bundle import schedule_mailbox_deletion
from entrenous.send.flush import flush_outbox
from entrenous.send.formats.linking import (
    link_commitment,
    link_transcript,
    open_offer,
    read_offer,
    write_link_code,
    write_link_message,
)
from entrenous.send.set_up import finish_set_up
from entrenous.send.tokens.use import former_token_mailbox


@dataclass(frozen=True, slots=True)
class OldDeviceLinkInProgress:
    """The state of linking on the old device; messages are kept in encoded form, because the
    transcript hashes them.
    """

    state: LinkState
    box: LinkMailbox
    master: Secret
    hand_master_on: bool
    private: Secret
    unseal: Secret
    ask: LinkRequest | None = None
    asked: bytes = b""
    answered: bytes = b""
    shown: LinkReveal | None = None
    transcript: bytes = b""
    offer: NewDeviceOffer | None = None

    @property
    def code(self) -> str:
        """The link code, shown to the new device as text or as a QR code."""
        return write_link_code(LinkCode(self.box.relay_url, self.box.mailbox, self.box.token))

    @property
    def until(self) -> datetime:
        """When the code expires."""
        return self.box.until

    @property
    def short_string(self) -> ShortAuthString:
        """The short string to compare; it is the same on both devices unless there is an attacker
        in the middle.

        Raises:
            LinkEnded: the new device has not shown its key yet.
        """
        if self.shown is None:
            raise LinkEnded
        return short_auth_string(self.private, self.shown.public, self.transcript)


def _refuse_unless_devices_followed_move(device: Device) -> None:
    """Raise DevicesHaveNotFollowedMove if we moved to another relay and a device of ours has not
    followed yet. That device and the new one could not get tokens for each other.
    """
    me = own_device(device).person.id
    lagging = [
        one.name
        for one in own_linked_devices(device)
        if former_token_mailbox(me, one.device, device) is not None
    ]
    if lagging:
        raise DevicesHaveNotFollowedMove(names=", ".join(lagging))


def start_on_old_device(sheet: RecoverySheet | None, device: Device) -> OldDeviceLinkInProgress:
    """Start linking: create a mailbox for this linking alone.

    Raises:
        MasterKeyNotHere, SheetOfAnotherPerson, TooManyDevices, DevicesHaveNotFollowedMove,
        DeviceWithoutRelay, RolledBack, UnlockNotConfirmed, RelayUnreachable, ClocksDiffer.
    """
    refuse_unconfirmed_unlock(device)
    master = find_master_key(sheet, device)
    me = own_device(device)
    if len(me.person.devices) >= DEVICES_MAX:
        raise TooManyDevices
    _refuse_unless_devices_followed_move(device)
    finish_set_up(device)
    mailbox, owner = (
        MailboxId(device.random_source.token(ID_BYTES)),
        Secret(device.random_source.token(TOKEN_BYTES)),
    )
    # scheduled first, so that an interruption leaves no mailbox behind
    until = now_in_whole_seconds(device) + timedelta(minutes=LINKING_MINUTES_MAX)
    schedule_mailbox_deletion(MailboxDeletion(me.home.relay_url, mailbox, owner, until), device)
    box = create_link_mailbox(me.home.relay_url, mailbox, owner, None, device)
    return OldDeviceLinkInProgress(
        state=LinkState.OFFERED,
        box=box,
        master=master,
        hand_master_on=sheet is None,
        private=Secret(device.random_source.token(32)),
        unseal=xwing_private_key_from_seed(device.random_source.token(XWING_PRIVATE_KEY_BYTES)),
    )


def poll_old_device(old: OldDeviceLinkInProgress, device: Device) -> OldDeviceLinkInProgress:
    """Process the next message, if one has arrived.

    Raises:
        LinkEnded: time ran out, or a message was out of order or invalid.
        LinkEndedByOtherDevice, LinkEndedAfterGrant: the new device ended the linking.
        RelayUnreachable.
    """
    if old.state is LinkState.GRANTED:
        return _check_for_first_letter(old, device)
    try:
        return _process_next_message(old, device)
    except (Malformed, Unproven, LinkEnded) as why:
        end_on_old_device(old, device)
        raise why if isinstance(why, LinkEndedByOtherDevice) else LinkEnded from None


def confirm_on_old_device(old: OldDeviceLinkInProgress, device: Device) -> OldDeviceLinkInProgress:
    """Record the user's answer that both devices show the same pictures; list the new device, and
    notify it.

    Once listed, the new device can only be removed by a revocation. So first check that linking did
    not end on the new device, and that we have not moved to another relay meanwhile.

    Raises:
        LinkEnded, LinkEndedByOtherDevice, LinkInterruptedByMove, TooManyDevices, RelayUnreachable.
    """
    if next_link_state(old.state, LinkEvent.SAME) is not LinkState.GRANTED:
        raise LinkEnded
    if old.box.relay_url != own_device(device).home.relay_url:
        end_on_old_device(old, device)  # the new device has no mailbox at our new relay
        raise LinkInterruptedByMove
    poll_old_device(old, device)
    if old.offer is None or old.ask is None or old.shown is None:
        raise LinkEnded
    compared = LinkConfirmedOnOldDevice(
        offer=old.offer,
        ask=old.ask,
        until=old.until,
        master=old.master,
        handed_on=old.master if old.hand_master_on else None,
        private=old.private,
        public=old.shown.public,
        transcript=old.transcript,
    )
    add_new_device_to_list(compared, device)
    flush_outbox(device)
    return replace(old, state=LinkState.GRANTED)


def reject_on_old_device(old: OldDeviceLinkInProgress, device: Device) -> None:
    """End linking, since the user says that the devices show different pictures.

    Raises:
        LinkPicturesDiffer: always.
    """
    end_on_old_device(old, device)
    raise LinkPicturesDiffer


def end_on_old_device(old: OldDeviceLinkInProgress, device: Device) -> None:
    """End linking: tell the new device, and delete the mailbox once the relay answers."""
    if old.ask is not None:
        url, ask = old.box.relay_url, old.ask
        post_link_stop(url, ask.mailbox, ask.token, ask.promise, old.until, device)
    close_link_mailbox(old, device)


def is_new_device_listed(old: OldDeviceLinkInProgress, device: Device) -> bool:
    """Return whether the new device is on our list; if so, only a revocation removes it."""
    return old.offer is not None and linked_device_by_id(old.offer.device, device) is not None


def close_link_mailbox(old: OldDeviceLinkInProgress, device: Device) -> None:
    """Delete the mailbox that was made for this linking, once the relay answers."""
    schedule_mailbox_deletion(
        MailboxDeletion(old.box.relay_url, old.box.mailbox, old.box.owner), device
    )
    flush_outbox(device)


def _process_next_message(old: OldDeviceLinkInProgress, device: Device) -> OldDeviceLinkInProgress:
    arrived = take_next_link_message(old.box, device)
    if arrived is None:
        return old
    message, encoded = arrived
    match message:
        case LinkRequest() if next_link_state(old.state, LinkEvent.ASK) is LinkState.ANSWERED:
            return _answer_request(old, message, encoded, device)
        case LinkReveal() if next_link_state(old.state, LinkEvent.SHOW) is LinkState.COMPARING:
            return _check_reveal(old, message)
        case LinkStop():
            raise LinkEndedByOtherDevice
    raise LinkEnded


def _answer_request(
    old: OldDeviceLinkInProgress, ask: LinkRequest, encoded: bytes, device: Device
) -> OldDeviceLinkInProgress:
    answer = LinkAnswer(x25519_public_key(old.private), xwing_public_key(old.unseal))
    answered = write_link_message(answer)
    url, until = old.box.relay_url, old.until
    post_link_message(url, ask.mailbox, ask.token, answered, until, device)
    return replace(old, state=LinkState.ANSWERED, ask=ask, asked=encoded, answered=answered)


def _check_reveal(old: OldDeviceLinkInProgress, show: LinkReveal) -> OldDeviceLinkInProgress:
    offer = open_offer(old.unseal, old.asked, old.answered, show.sealed_offer)
    if old.ask is None or not equal_in_constant_time(
        link_commitment(show.public, offer), old.ask.promise
    ):
        raise LinkEnded
    said = read_offer(offer)
    if said.mailbox != old.ask.mailbox:
        raise LinkEnded
    transcript = link_transcript(old.asked, old.answered)
    compared = replace(
        old, state=LinkState.COMPARING, shown=show, transcript=transcript, offer=said
    )
    try:
        compared.short_string  # noqa: B018 - may raise BadKey, before anything is shown
    except BadKey:
        raise LinkEnded from None
    return compared


def _check_for_first_letter(
    old: OldDeviceLinkInProgress, device: Device
) -> OldDeviceLinkInProgress:
    """Finish linking if the new device's first letter was fetched and accepted."""
    linked = None if old.offer is None else linked_device_by_id(old.offer.device, device)
    if linked is None or not linked.has_written:
        _refuse_if_ended_by_new_device(old, device)
        return old
    return replace(old, state=next_link_state(old.state, LinkEvent.HELLO))


def _refuse_if_ended_by_new_device(old: OldDeviceLinkInProgress, device: Device) -> None:
    """Raise LinkEndedAfterGrant if the new device ended linking after the grant.

    Other messages in the mailbox of this linking are ignored: the new device's first letter arrives
    in our own mailbox.
    """
    try:
        arrived = take_next_link_message(old.box, device)
    except EntrenousError:
        return  # time ran out, the message is invalid, or the relay does not answer
    if arrived is not None and isinstance(arrived[0], LinkStop):
        raise LinkEndedAfterGrant
