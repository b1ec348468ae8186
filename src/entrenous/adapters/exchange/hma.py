"""Fetch a bank of a gate that speaks HMA's HTTP (docs/spec/exchange.md section 6).

There is no address that lists a bank, so its content is asked for by number: 1, 2, 3, ... The bank
in the address is not compared by HMA, so the one in the answer is. A gate of Entrenous compares it,
and says with a number that is missing which one comes next in that bank (docs/spec/hma.md, 2.2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec

from entrenous.adapters.exchange.records import BadRecord, fields, json_page, key, pdq
from entrenous.adapters.exchange.web import Web
from entrenous.model.exchange import BadPage, Page, Record
from entrenous.ports.world import Clock

_AT_ONCE: Final = 100  # numbers in one page of ours
_GAP_MAX: Final = 1_000  # missing in a row: the end; what other banks have is not missing
_NUMBER_MAX: Final = 2**63 - 1
_ON: Final = 1  # disable_until_ts: 0 is off, 1 on, anything else off until then


class _NextSaid(msgspec.Struct):
    """Of what a gate of Entrenous says with a 404."""

    next: Annotated[int, msgspec.Meta(ge=1, le=_NUMBER_MAX)] | msgspec.UnsetType | None = (
        msgspec.UNSET
    )


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
            for _ in range(_AT_ONCE):
                if missing >= _GAP_MAX:
                    break
                found = self._content(number, refused)
                if isinstance(found, Missing):
                    number, missing = found.goes_on(number, missing)
                else:
                    number, missing = number + 1, 0
                    records.extend(found)
            yield Page(tuple(records), f"{number} {missing}", tuple(refused))

    def _check_bank(self) -> None:
        said = json_page(self.web.name, self.web.get(f"/c/bank/{self.bank}") or b"")
        if said.get("name") != self.bank:
            raise BadPage(name=self.web.name, why="that is not the bank")

    def _content(self, number: int, refused: list[str]) -> "tuple[Record, ...] | Missing":
        """One number's record, none if it cannot be read or is another bank's."""
        path = f"/c/bank/{self.bank}/content/{number}"
        there, body = self.web.look(path, {"include_signals": "true"})
        if not there:
            return read_missing(body)
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


@dataclass(frozen=True, slots=True)
class Missing:
    """No content has this number there. ``said``: and its server said which one is the ``next``,
    None for no other.
    """

    said: bool = False
    next: int | None = None

    def goes_on(self, number: int, missing: int) -> tuple[int, int]:
        """Which number comes after this one, and how many are missing in a row by then. Never back:
        else a server could keep us.
        """
        if not self.said or (self.next is not None and self.next <= number):
            return number + 1, missing + 1
        return (number, _GAP_MAX) if self.next is None else (self.next, 0)


def read_missing(untrusted_body: bytes) -> Missing:
    """What a 404 says of where that bank goes on; HMA's own says nothing of it."""
    try:
        said = msgspec.json.decode(untrusted_body, type=_NextSaid)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Missing()
    return Missing() if said.next is msgspec.UNSET else Missing(said=True, next=said.next)


def _form(problem: Exception) -> str:
    return str(problem) if isinstance(problem, BadRecord) else "it is not JSON"
