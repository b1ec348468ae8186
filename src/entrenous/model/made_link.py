"""Invite links as the device that made them keeps them, and what happens when they are used."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from entrenous.model.envelope import SendToken
from entrenous.model.ids import DeviceId, PersonId


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link that this device made (docs/spec/identity.md section 6).

    ``uses`` is how many people it lets in, ``name`` what we call the one whom it is for.
    ``used_by`` came in by it, in this order; ``refused`` came after all uses were gone.
    """

    token: SendToken
    uses: int = 1
    name: str | None = None
    used_by: tuple[PersonId, ...] = ()
    refused: tuple[PersonId, ...] = ()

    @property
    def is_used_up(self) -> bool:
        """Whether it lets nobody in any more."""
        return len(self.used_by) >= self.uses


class LinkEvent(StrEnum):
    """What happened with a link."""

    JOINED = "joined"  # somebody came in by a link that this device made
    ELSEWHERE = "elsewhere"  # the same on another device of ours, or we added somebody there
    REFUSED = "refused"  # somebody came by a link of this device whose uses were gone
    TOO_LATE = "too late"  # we came by somebody's link whose uses were gone


@dataclass(frozen=True, slots=True)
class LinkNotice:
    """One such event, until it has been told.

    ``name`` is what we call them, ``called`` what they call themselves. ``device`` is the one that
    came, ``made_at`` when it was set up by its own word; both None where the event is not about a
    device. ``meant_for`` is the name that the link was made for, ``before`` are those whom it let
    in before, ``for_one`` says that it was for one person, and ``alike`` are people whose names are
    easily taken for this one.
    """

    event: LinkEvent
    at: datetime
    name: str
    called: str
    device: DeviceId | None = None
    made_at: datetime | None = None
    meant_for: str | None = None
    before: tuple[str, ...] = ()
    for_one: bool = False
    alike: tuple[str, ...] = ()
