"""Fetch a bank of a gate that speaks HMA's HTTP (docs/spec/exchange.md section 6).

There is no address that lists a bank, so its content is asked for by number: 1, 2, 3, ... The bank
in the address is not compared by HMA, so the one in the answer is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from entrenous.adapters.exchange.records import BadRecord, fields, json_page, key, pdq
from entrenous.adapters.exchange.web import Web
from entrenous.model.exchange import BadPage, Page, Record
from entrenous.ports.world import Clock

_AT_ONCE: Final = 100  # numbers in one page of ours
_GAP_MAX: Final = 1_000  # missing in a row: the end; what other banks have is not missing
_ON: Final = 1  # disable_until_ts: 0 is off, 1 on, anything else off until then


@dataclass(frozen=True, slots=True)
class Hma:
    """A checkpoint is "next number, how many were missing in a row"."""

    web: Web
    bank: str
    clock: Clock
    stale_after: timedelta | None = timedelta(0)

    def pages(self, token: str) -> Iterator[Page]:
        """Every number; first whether the bank is there at all, so that a wrong address does not
        look like an empty one.
        """
        self._check_bank()
        number, missing = map(int, (token or "1 0").split(" "))
        while missing < _GAP_MAX:
            records, refused = list[Record](), list[str]()
            for one in range(number, number + _AT_ONCE):
                found = self._content(one, refused)
                missing = missing + 1 if found is None else 0
                records.extend(found or ())
            number += _AT_ONCE
            yield Page(tuple(records), f"{number} {missing}", tuple(refused))

    def _check_bank(self) -> None:
        said = json_page(self.web.name, self.web.get(f"/c/bank/{self.bank}") or b"")
        if said.get("name") != self.bank:
            raise BadPage(name=self.web.name, why="that is not the bank")

    def _content(self, number: int, refused: list[str]) -> tuple[Record, ...] | None:
        """One number's record, none if it cannot be read or is another bank's; None if missing."""
        path = f"/c/bank/{self.bank}/content/{number}"
        body = self.web.get(path, {"include_signals": "true"}, absent_ok=True)
        if body is None:
            return None
        try:
            record = self._record(number, json_page(self.web.name, body))
        except (BadRecord, BadPage) as problem:
            refused.append(f"content {number}: {_form(problem)}")
            return ()
        return () if record is None else (record,)

    def _record(self, number: int, content: dict[str, Any]) -> Record | None:
        if fields(content.get("bank")).get("name") != self.bank:
            return None
        name = key(content.get("id", number))
        until = content.get("disable_until_ts", _ON)
        if until != _ON and not self._over(until):
            return Record(name, 0)
        signals = content.get("signals")
        hashed = signals.get("pdq") if isinstance(signals, dict) else None
        return None if hashed is None else Record(name, 0, (pdq(hashed),))

    def _over(self, until: object) -> bool:
        """Whether a time until which it is off has passed; 0 is off for good."""
        passed = isinstance(until, int) and 0 < until < self.clock.now().timestamp()
        return passed and not isinstance(until, bool)


def _form(problem: Exception) -> str:
    return str(problem) if isinstance(problem, BadRecord) else "it is not JSON"
