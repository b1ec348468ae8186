"""Everything that the reasons look at, read once for a whole draft."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from entrenous.model.circle import Circle
from entrenous.model.ids import PersonId
from entrenous.model.message import Draft
from entrenous.model.person import Contact
from entrenous.model.talk import Talk
from entrenous.ports import Device


@dataclass(frozen=True, slots=True)
class Scene:
    """A draft on its way to ``to``; ``known`` is everybody, ``talks`` the newest messages to each
    of its recipients, the oldest first; ``named`` are others whom its words name and who got one of
    its pictures; ``told`` are those of ``to`` who have the message that the draft belongs to by its
    sender's word alone.
    """

    draft: Draft
    to: tuple[Contact, ...]
    known: tuple[Contact, ...]
    circles: tuple[Circle, ...]
    talks: Mapping[PersonId, tuple[Talk, ...]]
    named: tuple[Contact, ...]
    told: tuple[Contact, ...]
    now: datetime
    device: Device

    def talks_with(self, contact: Contact) -> tuple[Talk, ...]:
        """The newest messages to one recipient."""
        return self.talks[contact.person.id]
