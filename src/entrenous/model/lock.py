"""The lock of a device's vault, of which its relay holds a part (docs/spec/lock.md)."""

from dataclasses import dataclass, replace

from entrenous.model.errors import Malformed, NotFound, Refused, Unreachable
from entrenous.model.ids import MailboxId
from entrenous.model.secret import Secret
from entrenous.model.vault import WrongPassphrase
from entrenous.spec import GENERATION_MAX, OPENING_BYTES, OPENINGS_MAX, UNLOCK_TOKENS_KEPT


@dataclass(frozen=True, slots=True)
class RelayLock:
    """Where the relay's part of a vault's lock is; the token lets its holder ask, and only that.

    ``earlier``: the tokens before it, the newest first, for a relay that does not know it yet, or
    not any more.
    """

    relay_url: str
    mailbox: MailboxId
    unlock_token: Secret
    earlier: tuple[Secret, ...] = ()

    def renewed(self, unlock_token: Secret) -> "RelayLock":
        """The same, asked with another token from now on."""
        earlier = (self.unlock_token, *self.earlier)[:UNLOCK_TOKENS_KEPT]
        return replace(self, unlock_token=unlock_token, earlier=earlier)


@dataclass(frozen=True, slots=True)
class Answered:
    """The relay's answer to one question: an element of 32 bytes, and how many tries are left."""

    evaluated: bytes
    tries: int


@dataclass(frozen=True, slots=True)
class Opening:
    """That a vault opened, in which state of it.

    ``generation`` is one more than the last that the relay confirmed to this vault; ``number`` (16
    random bytes) names this very opening, ``before`` those of the same generation that this vault
    told the relay of without hearing an answer.
    """

    generation: int
    number: bytes
    before: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if any(len(number) != OPENING_BYTES for number in (self.number, *self.before)):
            raise ValueError("the number of an opening has 16 bytes")
        if not 1 <= self.generation <= GENERATION_MAX or len(self.before) > OPENINGS_MAX:
            raise ValueError("a generation is at least 1, with at most 128 openings before")


class NotAPoint(Malformed):
    """
    What this device and its relay said to each other while unlocking was damaged, so nothing was
    opened and no try was used. Try again.
    """


class LockExists(Refused):
    """
    The relay has a lock for this device already, and another one may not replace it. Nothing was
    changed.
    """


class NoRelaysPart(Refused):
    """
    No relay has a part of this vault's lock, because the device was set up without a relay. So it
    opens anywhere, and there is nothing to allow.
    """


class Locked(Refused):
    """
    Ten wrong passphrases were tried in a row, so the relay answers no more questions about this
    device's vault, and what is in it stays shut. With your recovery sheet you can allow ten more:
    entrenous device unlock --recovery FILE. Without the sheet nobody can open this vault again;
    another device of yours goes on as it is, and can link a new one: entrenous device add
    """


class NoLock(NotFound):
    """
    The relay deleted the lock of this device, together with its mailbox.
    """


class DeviceShut(Refused):
    """
    This device's vault is shut: its relay's part of the lock was deleted, so no passphrase opens it
    any more. That happens when the device is revoked, for instance after it was lost. Your other
    devices are as they were; to write from here again, link a new device in another folder from one
    of them: entrenous device add
    """


class MailboxUnknown(Unreachable):
    """
    The relay does not know this device, nor that it was revoked, so it cannot help to open it.
    Nothing on this device was changed or lost. The relay's operator may have started it with
    another database, or restored a backup that is older than this device: tell the operator, and
    try again later. If this device was revoked more than 30 days ago, it stays shut. With a
    recovery sheet of this device you can go on at another relay:
    entrenous device move --relay URL --recovery FILE
    """


class OutdatedCopy(Refused):
    """
    The passphrase of this device was changed after this copy of its folder was made, as in a
    backup, so the relay answers nobody who asks about the copy, and it stays shut. The device
    itself opens as always, with its new passphrase.
    """


class FewTriesLeft(WrongPassphrase):
    """
    That passphrase does not open this device's vault. Nothing was changed. Tries left: {tries};
    then the vault stays locked until your recovery sheet allows more, and nothing else can.
    Take your time; mind Caps Lock and the keyboard's language.
    """


class OfflineWindowOver(Unreachable):
    """
    The time in which this device opens without its relay ended on {until}, and the relay does not
    answer. Nothing was lost. Connect to the network, then try again.
    """


class NotConfirmed(Unreachable):
    """
    This device was opened without its relay, so it shows what is here, but sends and fetches
    nothing yet: first the relay must hear that no copy of it went on elsewhere. Connect to the
    network, then try again.
    """


class RolledBack(Refused):
    """
    This is an older copy of a device that went on elsewhere, for instance from a backup. To use
    both would break the secrecy of its conversations, so this one no longer sends or receives;
    what you sent, your originals and your cases are still here. To write again from here, link a
    new device in another folder from the one that went on: entrenous device add. If you have none
    any more: ENTRENOUS_HOME=DIR entrenous setup --name YOU --relay URL
    """
