"""Comparing keys by short strings, over letters (docs/spec/people.md section 3)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from entrenous.model.errors import Malformed, NotFound, Refused, Unproven
from entrenous.model.ids import DeviceId
from entrenous.model.secret import Secret
from entrenous.model.signs import Sign


class Stage(StrEnum):
    """How far a comparing has come on this device."""

    BEGUN = "begun"  # by us; they have yet to answer
    ASKED = "asked"  # by them; we have yet to answer
    ANSWERED = "answered"  # by us; their key has yet to come
    READY = "ready"  # both see the signs
    AGREED = "agreed"  # we said that they are the same; they have yet to say it


@dataclass(frozen=True, slots=True)
class Half:
    """One side of a comparing: its device, the head of its list (32 bytes), and its public key (32
    bytes, X25519).
    """

    device: DeviceId
    head: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class Comparing:
    """A comparing with one person.

    ``commitment`` is what the one who began promised of their key, and ``their_head`` the head of
    their list in the letter that promised it; ``they_agree`` that they have said that the signs are
    the same.
    """

    transaction: bytes
    began_at: datetime
    stage: Stage
    starter: bool
    private: Secret
    mine: Half | None = None
    theirs: Half | None = None
    their_device: DeviceId | None = None
    commitment: bytes | None = None
    their_head: bytes | None = None
    they_agree: bool = False


@dataclass(frozen=True, slots=True)
class ShortString:
    """What both people see if nobody stands between them: seven signs, and three numbers that say
    nearly as much, for who sees no pictures.
    """

    signs: tuple[Sign, ...]
    numbers: tuple[int, int, int]


class NothingToCompare(NotFound):
    """
    There is nothing of {name}'s to compare at the moment. Begin: entrenous person verify {name}
    --sas
    """


class OtherKeys(Unproven):
    """
    The code in this picture is not the one that {name}'s device shows to yours, so {name}'s keys do
    not count as compared. Photograph the code again, from {name}'s own screen. If it is refused
    again, somebody may stand between you: do not send {name} anything private.
    """


class OwnCode(Refused):
    """
    This is the code that your own device shows to {name}, so nothing was noted. {name} reads it;
    you photograph the one on {name}'s screen.
    """


class NoCode(Malformed):
    """
    No code was found in this picture, so nothing was noted. Photograph it again: straight, sharp,
    and with the light frame around it.
    """


class NotComparedYet(Refused):
    """
    {name}'s part is not here yet, so there is nothing to agree to. They run: entrenous person
    verify YOU --sas. Then look again: entrenous person verify {name} --sas
    """
