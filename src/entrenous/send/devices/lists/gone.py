"""What is forgotten as soon as a device is seen to have left its owner's list."""

from collections.abc import Iterable

from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.peer import Peer
from entrenous.model.person import Person
from entrenous.ports import Device
from entrenous.send.drawers import (
    FIRST_TOKEN,
    GREET_DEVICE,
    GREETED,
    HEARD,
    OWN_KEY,
    PEER,
    WINDOW_OUT,
    WINDOW_TOLD,
    peer_key,
    take,
)
from entrenous.send.outbox import refuse_postings
from entrenous.send.tokens.windows import withdraw_window

_ABOUT_A_DEVICE = (PEER, HEARD, FIRST_TOKEN, WINDOW_OUT, WINDOW_TOLD, GREETED, GREET_DEVICE)


def left_behind(before: Person, after: Person) -> tuple[DeviceId, ...]:
    """The devices that a newer list of somebody does not have any more, with these keys."""
    listed = {key.keys for key in after.devices}
    return tuple(key.device for key in before.devices if key.keys not in listed)


def forget_devices(person: PersonId, gone: Iterable[DeviceId], device: Device) -> None:
    """Forget sessions, keys and tokens of these devices of a person, and what waits here for them:
    whoever has them now is to get nothing. Call it in a transaction.

    Counters go too: a device that was revoked is never listed again (docs/spec/identity.md
    section 3), so nothing of it is ever read again.
    """
    for one in gone:
        whose = peer_key(person, one)
        peer = take(Peer, PEER, whose, device.vault)
        for key in () if peer is None else peer.mine:
            device.vault.drop(OWN_KEY, key.hex())
        withdraw_window(whose, device)
        refuse_postings(whose, device)
        for drawer in _ABOUT_A_DEVICE:
            device.vault.drop(drawer, whose)
