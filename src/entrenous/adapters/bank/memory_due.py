"""DueWork in memory, for tests and for a village in one process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from entrenous.adapters.bank.memory_bank import MemoryBankStore
from entrenous.adapters.bank.sql_due import DAY, SLOW_BYTES_MAX, TAKES_MAX
from entrenous.model.claim import MATCHING
from entrenous.model.clock_mark import ClockMark
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.review import Due, Review, SlowLook


@dataclass(frozen=True, slots=True)
class _Slow:
    """A slow look that is due: without bytes yet, or kept, or (``skipped``) given up."""

    untrusted_upload: bytes | None = None
    free_at: datetime | None = None
    taken: int = 0
    skipped: bool = False


@dataclass(slots=True)
class MemoryDueWork:
    """Dictionaries in the order of arrival; one thread at a time."""

    bank: MemoryBankStore
    reviews: dict[str, Review] = field(default_factory=dict)
    slow: dict[str, _Slow] = field(default_factory=dict)
    slow_bytes_max: int = SLOW_BYTES_MAX
    has_disk: Callable[[], bool] = lambda: True
    mark: ClockMark | None = None

    def note_clock(self, every: timedelta) -> None:
        """Held."""
        now = self.bank.clock.now()
        self.mark = self.mark.seen(now, every) if self.mark else ClockMark(now)

    def clock_mark(self) -> ClockMark | None:
        """As it is held."""
        return self.mark

    def keeps_bytes(self) -> bool:
        """As it was told."""
        return self.has_disk()

    def keep_for_slow_look(self, case: str, untrusted_upload: bytes, most: int) -> bool:
        """Look for room first."""
        kept = [one.untrusted_upload for one in self.slow.values()]
        sizes = [len(data) for data in kept if data is not None]
        full = len(sizes) >= most or sum(sizes) + len(untrusted_upload) > self.slow_bytes_max
        if full or not self.has_disk() or self.slow.get(case) != _Slow():
            return False
        self.slow[case] = _Slow(untrusted_upload, self.bank.clock.now())
        return True

    def take_slow_look(self, lease: timedelta) -> SlowLook | None:
        """The oldest."""
        now = self.bank.clock.now()
        for case, one in self.slow.items():
            if one.free_at is None or one.taken >= TAKES_MAX:
                continue
            if _is_free(one.free_at, now, lease) and one.untrusted_upload is not None:
                self.slow[case] = replace(one, free_at=now + lease, taken=one.taken + 1)
                return SlowLook(case, one.untrusted_upload)
        return None

    def slow_look_made(self, case: str) -> None:
        """Forget."""
        if case in self.slow and self.slow[case].untrusted_upload is not None:
            del self.slow[case]
            self._forget_reference(case)

    def skip_slow_looks(self, before: datetime) -> int:
        """One by one."""
        late = [case for case, one in self.slow.items() if self._is_over(case, one, before)]
        self.slow.update({case: _Slow(skipped=True) for case in late})
        for case in late:
            self._forget_reference(case)
        return len(late)

    def take_look_backs(self, until: datetime, limit: int) -> dict[ClaimId, int]:
        """The newest."""
        now = self.bank.clock.now()
        every = [(at, claim) for claim, at in sorted(self.bank.look_backs.items())]
        due = [one for one in every if one[0] <= now]
        free = due or [one for one in every if _is_free(one[0], now, until - now)]
        newest = sorted(free, key=lambda one: one[0], reverse=True)
        claims = [claim for _, claim in newest[:limit]]
        self.bank.look_backs.update(dict.fromkeys(claims, until))
        return {claim: self.bank.changed[claim][0] for claim in claims}

    def look_back_again(self, bank: BankName) -> int:
        """All at once."""
        every = [one for one in self.bank.held.values() if one.bank == bank]
        mine = [one.id for one in every if one.state in MATCHING]
        self.bank.look_backs.update(dict.fromkeys(mine, self.bank.clock.now()))
        return len(mine)

    def looked_back(self, until: datetime, taken: Mapping[ClaimId, int]) -> None:
        """No more due, but what became due since."""
        for claim, changed in taken.items():
            is_as_it_was = self.bank.changed[claim][0] == changed
            if is_as_it_was and self.bank.look_backs.get(claim, until) >= until:
                self.bank.look_backs.pop(claim, None)

    def due(self) -> Due:
        """Counted."""
        kept = sum(one.untrusted_upload is not None for one in self.slow.values())
        lately = self.bank.clock.now() - DAY
        skipped = [case for case, one in self.slow.items() if one.skipped]
        newly = sum(self.reviews[case].at >= lately for case in skipped)
        return Due(kept, newly, len(self.bank.look_backs))

    def _forget_reference(self, case: str) -> None:
        """Where nothing is looked back at, it was kept for the slow look alone."""
        if self.reviews[case].bits is None:
            self.reviews[case] = replace(self.reviews[case], reference="")

    def _is_over(self, case: str, one: _Slow, before: datetime) -> bool:
        if one == _Slow():
            return self.reviews[case].at < before
        if one.free_at is not None and self.reviews[case].at < before - DAY:
            return True
        free = one.free_at is not None and one.free_at <= self.bank.clock.now()
        return free and one.taken >= TAKES_MAX

    def _due_of(self, review: Review) -> None:
        """As it is recorded."""
        if review.slow_look_due:
            self.slow[review.case] = _Slow()


def _is_free(free_at: datetime, now: datetime, lease: timedelta) -> bool:
    """Nobody has it now; what was taken for longer than anything is was so by a clock ahead."""
    return not now < free_at <= now + 2 * lease
