"""A device's state has a number, so that a copy of it and the original never both go on.

docs/spec/lock.md section 5. Ratchets must not run twice from one state: what was sent from the
first copy would share keys with what is sent from the second. So each opening is told to the relay
before anything moves; of several copies of one state, the relay confirms the first and no other.
"""

from typing import Final

from entrenous.model.identity import Home, Identity
from entrenous.model.lock import DeviceShut, MailboxUnknown, NoLock, Opening, RolledBack
from entrenous.model.relay_problem import NoSuchMailbox
from entrenous.ports import Device, Vault
from entrenous.send.devices.self import (
    ACCOUNT,
    IDENTITY,
    ROLLED_BACK,
    SIGNING_SEED,
    UNCONFIRMED,
    UNFINISHED,
)
from entrenous.send.drawers import (
    BATCH,
    CHORE,
    FINISH,
    GREET,
    INVITE,
    LATE,
    OUTBOX,
    OWN_KEY,
    PEER,
    SELF,
    WINDOW_IN,
    WINDOW_OLD,
    WINDOW_OUT,
    WINDOW_TOLD,
    WITHDRAW,
    lay,
    take,
)
from entrenous.spec import OPENING_BYTES, OPENINGS_MAX, UNLOCK_TRIES

_GENERATION: Final = "generation"
_OPENING: Final = "opening"  # that the relay was told of, and whose answer may be lost
_ASKED: Final = "asked"  # tries that this vault used up itself since the relay gave all back
#: What a state that went on elsewhere must not act on any more.
_RATCHETS: Final = (
    *(PEER, OWN_KEY, OUTBOX, GREET, FINISH, INVITE, LATE),
    *(CHORE, BATCH, WITHDRAW, WINDOW_IN, WINDOW_OLD, WINDOW_OUT, WINDOW_TOLD),
)


def home_of(vault: Vault) -> Home | None:
    """Where this device's mail is; None if it was set up without a relay."""
    identity = take(Identity, SELF, IDENTITY, vault)
    return identity.home if identity else None


def home_to_lock(device: Device) -> Home | None:
    """Where a lock for this device is to be made; None before its mailbox is there, or without."""
    unfinished = device.vault.get(SELF, UNFINISHED) is not None
    return None if unfinished else home_of(device.vault)


def begin_opening(vault: Vault, asked: int = 0) -> None:
    """From here on, nothing moves a ratchet until the relay has confirmed this state, which
    opened after so many questions to it.
    """
    with vault.together():
        vault.put(SELF, UNCONFIRMED, b"")
        note_asked(vault, asked)


def note_asked(vault: Vault, asked: int = 1) -> None:
    """Count questions that this very vault asked, so that :func:`tries_of_others` leaves them
    out.
    """
    vault.put(SELF, _ASKED, (_asked(vault) + asked).to_bytes(4, "big"))


def tries_of_others(left: int, asked: int, vault: Vault) -> int:
    """How many tries opened nothing since the relay last gave all back, by how many it says are
    ``left`` after this opening, which took ``asked`` of them.
    """
    return max(0, UNLOCK_TRIES - left - asked - _asked(vault))


def confirm_opening(device: Device) -> None:
    """Tell the relay that the vault opened in this state. Does nothing if it knows.

    A state that went on elsewhere is marked, and forgets its ratchets; what needs them says
    RolledBack from then on.

    Raises:
        DeviceShut: the mailbox was deleted.
        RelayUnreachable, MailboxUnknown: this state is not confirmed.
    """
    home = home_of(device.vault)
    if home is None or device.vault.get(SELF, UNCONFIRMED) is None:
        return
    opening = _opening(device)
    try:
        device.courier.note_opened(home.relay_url, home.mailbox, home.owner, opening)
    except RolledBack:
        _forget_ratchets(device.vault)
    except NoLock:
        raise DeviceShut from None
    except NoSuchMailbox:
        raise MailboxUnknown from None
    _confirmed(opening, device.vault)


def _opening(device: Device) -> Opening:
    """This opening, on disk before the relay hears of it: its answer may be lost.

    A state that was refused once tells the first generation, which is refused again, so that the
    number of the copy that goes on is never overtaken; the relay gives back its tries for it.
    """
    number = device.dice.token(OPENING_BYTES)
    if device.vault.get(SELF, ROLLED_BACK) is not None:
        return Opening(1, number)
    told = take(Opening, SELF, _OPENING, device.vault)
    before = () if told is None else (*told.before, told.number)[-OPENINGS_MAX:]
    opening = Opening(_generation(device.vault) + 1, number, before)
    lay(opening, SELF, _OPENING, device.vault)
    return opening


def _confirmed(opening: Opening, vault: Vault) -> None:
    with vault.together():
        vault.put(SELF, _GENERATION, opening.generation.to_bytes(8, "big"))
        vault.drop(SELF, _OPENING)
        vault.drop(SELF, _ASKED)
        vault.drop(SELF, UNCONFIRMED)


def _generation(vault: Vault) -> int:
    """The last one that the relay confirmed to this vault."""
    return int.from_bytes(vault.get(SELF, _GENERATION) or b"", "big")


def _asked(vault: Vault) -> int:
    return int.from_bytes(vault.get(SELF, _ASKED) or b"", "big")


def _forget_ratchets(vault: Vault) -> None:
    with vault.together():
        vault.put(SELF, ROLLED_BACK, b"")
        vault.drop(SELF, ACCOUNT)
        vault.drop(SELF, SIGNING_SEED)
        for drawer in _RATCHETS:
            for key in vault.keys(drawer):
                vault.drop(drawer, key)
