"""The log of the bank in memory, and changes that are made as a whole or not at all."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Final

from entrenous.adapters.bank.told import Told
from entrenous.adapters.system import SystemClock
from entrenous.model.audit import AuditRow, Details, Head
from entrenous.ports import Clock

_GIVEN: Final = ("clock", "on_withdraw")  # to a store, which keeps the rest


@dataclass(slots=True)
class MemoryLog:
    """Rows in a list."""

    clock: Clock = field(default_factory=SystemClock)
    rows: list[AuditRow] = field(default_factory=list)

    def note(self, what: str, of: str, details: Details) -> None:
        """One row."""
        self.tell((what, of, details))

    def log(self, after: int, limit: int) -> tuple[AuditRow, ...]:
        """A page."""
        return tuple(row for row in self.rows if row.number > after)[:limit]

    def log_head(self) -> Head:
        """Of the last row."""
        return self.rows[-1].head if self.rows else Head()

    def tell(self, told: Told) -> None:
        """One row."""
        self.rows.append(AuditRow.after(self.log_head(), self.clock.now(), *told))

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is changed inside is changed as a whole or, when something is raised, not at all."""
        names = [one.name for one in fields(self) if one.name not in _GIVEN]
        before = {name: copy.deepcopy(getattr(self, name)) for name in names}
        try:
            yield
        except BaseException:
            for name in names:
                setattr(self, name, before[name])
            raise
