"""An exchange and a bank on a real SQLite file, a feed in memory, a clock that one winds."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.exchange.sql_partners import SqlPartnerStore
from entrenous.adapters.exchange.sql_served import SqlServedStore
from entrenous.adapters.exchange.sql_sources import SqlSourceStore
from entrenous.adapters.exchange.tables import prepare_tables
from entrenous.adapters.system import SystemDice
from entrenous.model.bank import PEOPLE, Bank
from entrenous.model.claim import Change, ClaimState
from entrenous.model.exchange import ExchangePartner
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.secret import Secret
from entrenous.ports import Platform
from entrenous.ports.exchange import Exchange
from entrenous.ports.world import Clock
from entrenous.stop.banks import prepare_banks
from entrenous.stop.exchange.brought import BankOpinions, BankSubmissions
from entrenous.stop.exchange.partners import add_partner, partner_with
from tests.stop.room import WoundClock


def bits(number: int) -> bytes:
    """A hash like no other one."""
    return hashlib.sha256(f"picture {number}".encode()).digest()


@dataclass
class MemoryFeed:
    """Claims in their newest state, as a bank store tells of them."""

    clock: Clock
    newest: dict[ClaimId, Change] = field(default_factory=dict)
    last: int = 0

    def changes(self, after: int, limit: int) -> tuple[Change, ...]:
        found = [change for change in self.newest.values() if change.number > after]
        return tuple(found[:limit])

    def put(
        self,
        claim: str,
        *hashes: bytes,
        bank: BankName = PEOPLE,
        state: ClaimState = ClaimState.WAITING,
        kind: str = "pdq",
    ) -> ClaimId:
        self.last += 1
        name = ClaimId(claim)
        self.newest.pop(name, None)  # dictionaries keep the order of the newest
        now = self.clock.now()
        self.newest[name] = Change(self.last, now, name, bank, kind, state, hashes)
        return name

    def move(self, claim: str, state: ClaimState) -> None:
        known = self.newest[ClaimId(claim)]
        hashes = () if state is ClaimState.WITHDRAWN else known.hashes
        self.put(claim, *hashes, bank=known.bank, state=state)

    def withdraw(self, claim: str) -> None:
        self.move(claim, ClaimState.WITHDRAWN)


@dataclass
class Room:
    clock: WoundClock
    feed: MemoryFeed
    bank: SqlBankStore
    platform: Platform
    exchange: Exchange
    file: Path
    keys: dict[str, str] = field(default_factory=dict)

    def partner(
        self, name: str = "friends", *banks: BankName, submits: bool = False
    ) -> tuple[ExchangePartner, str]:
        key = add_partner(name, banks or (PEOPLE,), self.exchange, submits=submits)
        return partner_with(key, self.exchange), key.reveal().decode()

    def again(self, key: str) -> ExchangePartner:
        return partner_with(Secret(key.encode()), self.exchange)

    def lies_on_disk(self, secret: bytes) -> bool:
        """Whether these bytes are anywhere in the database's files."""
        return any(secret in path.read_bytes() for path in self.file.parent.glob("bank.db*"))


@contextmanager
def open_room(folder: Path, clock: WoundClock | None = None) -> Iterator[Room]:
    clock = clock or WoundClock()
    engine = open_engine(folder / "bank.db")
    prepare_tables(engine)
    bank, feed = SqlBankStore(engine, clock), MemoryFeed(clock)
    prepare_banks(bank)
    platform = Platform(clock, SystemDice(), bank, *_unused())
    partners = SqlPartnerStore(engine)
    exchange = Exchange(
        "our-gate",
        clock,
        SystemDice(),
        feed,
        partners,
        SqlServedStore(engine),
        SqlSourceStore(engine),
        BankOpinions(clock, partners),
        BankSubmissions(platform),
    )
    yield Room(clock, feed, bank, platform, exchange, folder / "bank.db")
    engine.dispose()


def with_claims_in_bank(room: Room) -> Exchange:
    """The exchange whose feed is the bank itself."""
    return replace(room.exchange, feed=room.bank)


def _unused() -> tuple[None, None, None]:
    """Exchanges look at no picture and hold no upload."""
    return cast("tuple[None, None, None]", (None,) * 3)


__all__ = ["PEOPLE", "Bank", "MemoryFeed", "Room", "bits", "open_room", "with_claims_in_bank"]
