"""What our relay has yet to hear about our devices: a newer card, a new close token, an ending."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.identity import Identity
from entrenous.model.link import Closing
from entrenous.model.lost import TokenOfBefore
from entrenous.model.relay_problem import NoSuchMailbox, WrongToken
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.devices.self import (
    CARD_TO_SHOW,
    IDENTITY,
    NEXT_CLOSE,
    keep_identity,
    who_am_i,
)
from entrenous.send.devices.shown_card import shown_card
from entrenous.send.drawers import CLOSE, CLOSED, SELF, lay, take, take_all
from entrenous.send.odd_clock import believed_now
from entrenous.spec import GONE_DAYS

_ASK_AGAIN: Final = timedelta(hours=1)


def tell_of_devices(device: Device) -> list[EntrenousError]:
    """Show our newest card, change our close token, delete mailboxes that are none any more.

    Returns what the relay refused, or did not answer: that is told again the next time.
    """
    problems = list[EntrenousError]()
    for work in (_show_card, _change_close, *_closings(device)):
        try:
            work(device)
        except EntrenousError as error:
            problems.append(error)
    return problems


def close_later(closing: Closing, device: Device) -> None:
    """Have a mailbox deleted as soon as its relay answers, and not before its time."""
    lay(closing, CLOSE, closing.mailbox.hex(), device.vault)


def close_again(relay_url: str, since: datetime, device: Device) -> None:
    """Have mailboxes deleted once more that were deleted at this relay lately: it may have
    forgotten that, since it was restored. Call it in a transaction.
    """
    for one in list(take_all(Closing, CLOSED, device.vault)):
        if one.closed_at is not None and one.closed_at < since:
            device.vault.drop(CLOSED, one.mailbox.hex())
        elif one.relay_url == relay_url:
            close_later(replace(one, closed_at=None), device)


def closed_at_relays(since: datetime, device: Device) -> set[str]:
    """The relays at which mailboxes were deleted since then."""
    every = take_all(Closing, CLOSED, device.vault)
    return {one.relay_url for one in every if one.closed_at is None or one.closed_at >= since}


def keep_close_token(device: Device) -> None:
    """Tell our relay once more what deletes our mailbox, unless it is to be another one anyway."""
    close = who_am_i(device).home.close
    if close is not None and device.vault.get(SELF, NEXT_CLOSE) is None:
        device.vault.put(SELF, NEXT_CLOSE, close.reveal())


def note_closed(closing: Closing, device: Device) -> None:
    """Remember that a mailbox of a device was deleted, for :func:`close_again`."""
    closed = replace(closing, closed_at=device.clock.now())
    lay(closed, CLOSED, closing.mailbox.hex(), device.vault)


def still_to_close(device: Device) -> tuple[Closing, ...]:
    """Mailboxes of devices that are not deleted yet."""
    every = take_all(Closing, CLOSE, device.vault)
    return tuple(one for one in every if one.name is not None)


def _show_card(device: Device) -> None:
    if device.vault.get(SELF, CARD_TO_SHOW) is None:
        return
    me = who_am_i(device)
    shown = shown_card(me.card, me.person.id, me.home.mailbox)
    device.courier.publish_card(me.home.relay_url, me.home.mailbox, me.home.owner, shown)
    device.vault.drop(SELF, CARD_TO_SHOW)


def _change_close(device: Device) -> None:
    following = device.vault.get(SELF, NEXT_CLOSE)
    identity = take(Identity, SELF, IDENTITY, device.vault)
    if following is None or identity is None or identity.home is None:
        return
    home = replace(identity.home, close=Secret(following))
    device.courier.set_close_token(home.relay_url, home.mailbox, home.owner, Secret(following))
    with device.vault.together():
        keep_identity(replace(identity, home=home), device)
        device.vault.drop(SELF, NEXT_CLOSE)


def _closings(device: Device) -> list[Callable[[Device], None]]:
    now, surely = device.clock.now(), believed_now(device)
    every = list(take_all(Closing, CLOSE, device.vault))
    for one in every:
        if one.give_up_at is not None and one.give_up_at <= surely:
            device.vault.drop(CLOSE, one.mailbox.hex())
    return [partial(_close, one) for one in every if _is_due(one, now)]


def _is_due(one: Closing, now: datetime) -> bool:
    """One that is to wait for more than an hour was noted by a clock that was ahead."""
    return one.not_before is None or not now < one.not_before <= now + _ASK_AGAIN


def _close(one: Closing, device: Device) -> None:
    try:
        _delete(one, device)
    except NoSuchMailbox:  # it never came to be; or it was another's, and may be back later
        if one.name is not None:
            _ask_again(one, device)
            return
    except WrongToken:
        if one.name is None:
            raise
        _note_refused(one, one.name, device)
        return
    except Unreachable:
        if one.give_up_at is not None:  # that relay may be gone for good
            close_later(replace(one, not_before=device.clock.now() + _ASK_AGAIN), device)
        raise
    with device.vault.together():
        if one.name is not None:
            note_closed(one, device)
        device.vault.drop(CLOSE, one.mailbox.hex())


def _ask_again(one: Closing, device: Device) -> None:
    """A relay that knows nothing of a mailbox, nor that it was deleted, may have another database
    for a while: it has not shut a device.
    """
    now = device.clock.now()
    give_up_at = one.give_up_at or now + timedelta(days=GONE_DAYS)
    close_later(replace(one, not_before=now + _ASK_AGAIN, give_up_at=give_up_at), device)


def _delete(one: Closing, device: Device) -> None:
    """With the first token that its relay takes; raises WrongToken if it takes none of them."""
    *others, last = (one.token, *one.others)
    for token in others:
        with suppress(WrongToken):
            device.courier.close_mailbox(one.relay_url, one.mailbox, token)
            return
    device.courier.close_mailbox(one.relay_url, one.mailbox, last)


def _note_refused(one: Closing, name: str, device: Device) -> None:
    """What we know deletes it no more: its person is told once. Who knows better may yet delete it,
    so it is asked about again.

    Raises:
        TokenOfBefore: the first time.
    """
    again = device.clock.now() + _ASK_AGAIN
    close_later(replace(one, refused=True, not_before=again), device)
    if not one.refused:
        raise TokenOfBefore(name=name)
