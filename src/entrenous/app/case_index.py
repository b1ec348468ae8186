"""The cases of this device, each with the deadline that ends first. Only changed cases are decoded
again.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from entrenous.base.identifiers import CaseName
from entrenous.device.device import Device
from entrenous.device.vault_tables import unpack
from entrenous.respond.custody import CASES_TABLE
from entrenous.respond.law.deadlines import DeadlineState, deadlines_of_case
from entrenous.respond.nouns import Case, CaseState, NoticeState

_DEADLINE_STATES_WITH_DATE: Final = (DeadlineState.RUNNING, DeadlineState.MISSED)
_SETTLED_NOTICE_STATES: Final = (NoticeState.REMOVED, NoticeState.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class CaseIndexEntry:
    """A case, and the time at which its earliest unsettled deadline ends or ended (None if the case
    has no such deadline).
    """

    name: CaseName
    opened_at: datetime
    is_open: bool
    due_at: datetime | None

    @property
    def sort_key(self) -> tuple[bool, float, float]:
        """Return a key that sorts open cases before closed ones, then earlier deadlines before
        later ones, then newer cases before older ones.
        """
        due = self.due_at.timestamp() if self.due_at else float("inf")
        return not self.is_open, due, -self.opened_at.timestamp()


@dataclass(slots=True, eq=False)
class CaseIndex:
    """Caches one entry for each case in the unlocked vault. Call :meth:`clear` when the app is
    locked.
    """

    _known: dict[str, tuple[int, CaseIndexEntry]] = field(default_factory=dict)

    def sorted_cases(self, device: Device) -> list[CaseIndexEntry]:
        """Return all cases, sorted by :attr:`CaseIndexEntry.sort_key`."""
        now, found = device.clock.now(), dict[str, tuple[int, CaseIndexEntry]]()
        for name, record in device.vault.items(CASES_TABLE):
            mark, known = hash(record), self._known.get(name)
            is_same = known is not None and known[0] == mark
            found[name] = (
                known if known and is_same else (mark, _make_index_entry(unpack(Case, record), now))
            )
        self._known = found
        return sorted((due for _, due in found.values()), key=lambda due: due.sort_key)

    def clear(self) -> None:
        self._known.clear()


def _make_index_entry(case: Case, now: datetime) -> CaseIndexEntry:
    settled = {one.number for one in case.notices if one.state in _SETTLED_NOTICE_STATES}
    ends = [
        deadline.due_at
        for deadline in deadlines_of_case(case, now)
        if deadline.due_at
        and deadline.state in _DEADLINE_STATES_WITH_DATE
        and deadline.notice not in settled
    ]
    is_open = case.state is CaseState.OPEN
    return CaseIndexEntry(case.name, case.opened_at, is_open, min(ends, default=None))
