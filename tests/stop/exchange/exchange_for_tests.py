"""An exchange for tests: a bank on a SQLite file, a feed in memory, and a settable clock."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from entrenous.base.environment import Clock, SystemRandomSource
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.banks import create_built_in_banks
from entrenous.stop.exchange_nouns import ExchangePartner, ExchangeServices
from entrenous.stop.exchange_serving import (
    PartnerHashRegistrar,
    PartnerOpinionRecorder,
    add_exchange_partner,
    authenticate_partner,
)
from entrenous.stop.index.memory_indexes import RegisteredSounds
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimChange, ClaimState
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.exchange_partners import ExchangePartnerStore, SourceStore
from entrenous.stop.store.exchange_served import ServedClaimStore, prepare_exchange_tables
from tests.deterministic import SettableClock
from tests.new_bank import engine_at


def fake_hash(number: int) -> bytes:
    """Return 32 bytes in place of a picture's hash, different for each number."""
    return hashlib.sha256(f"picture {number}".encode()).digest()


@dataclass
class MemoryFeed:
    """A feed in memory that returns the latest change of each claim, as a bank store does."""

    clock: Clock
    latest_changes: dict[ClaimId, ClaimChange] = field(default_factory=dict)
    last_number: int = 0

    def changes(self, after: int, limit: int) -> tuple[ClaimChange, ...]:
        found = [change for change in self.latest_changes.values() if change.number > after]
        return tuple(found[:limit])

    def put_claim(
        self,
        claim: str,
        *hashes: bytes,
        bank: BankName = PEOPLE_BANK,
        state: ClaimState = ClaimState.WAITING,
        kind: str = "pdq",
    ) -> ClaimId:
        self.last_number += 1
        claim_id = ClaimId(claim)
        self.latest_changes.pop(claim_id, None)  # keeps the dictionary in the order of changes
        now = self.clock.now()
        self.latest_changes[claim_id] = ClaimChange(
            self.last_number, now, claim_id, bank, kind, state, hashes
        )
        return claim_id

    def set_state(self, claim: str, state: ClaimState) -> None:
        known = self.latest_changes[ClaimId(claim)]
        hashes = () if state is ClaimState.WITHDRAWN else known.hashes
        self.put_claim(claim, *hashes, bank=known.bank, state=state)

    def withdraw(self, claim: str) -> None:
        self.set_state(claim, ClaimState.WITHDRAWN)


@dataclass
class ExchangeSetup:
    """An exchange, a settable clock, the feed for partners, and the bank for fetched claims."""

    clock: SettableClock
    feed: MemoryFeed
    bank: BankStore
    platform: Platform
    exchange: ExchangeServices
    file: Path
    keys: dict[str, str] = field(default_factory=dict)

    def add_partner(
        self, name: str = "friends", *banks: BankName, submits: bool = False
    ) -> tuple[ExchangePartner, str]:
        key = add_exchange_partner(name, banks or (PEOPLE_BANK,), self.exchange, submits=submits)
        return authenticate_partner(key, self.exchange), key.reveal().decode()

    def is_on_disk(self, searched_bytes: bytes) -> bool:
        """Return whether a file of the database contains these bytes."""
        return any(
            searched_bytes in path.read_bytes() for path in self.file.parent.glob("bank.db*")
        )


@contextmanager
def open_exchange_setup(
    folder: Path, clock: SettableClock | None = None
) -> Iterator[ExchangeSetup]:
    clock = clock or SettableClock()
    engine = engine_at(folder / "bank.db")
    prepare_exchange_tables(engine)
    bank, feed = BankStore(engine, clock), MemoryFeed(clock)
    create_built_in_banks(bank)
    platform = Platform(
        clock,
        SystemRandomSource(),
        bank,
        *_no_index_queue_and_reader(),
        sounds=RegisteredSounds(bank),
    )
    partners = ExchangePartnerStore(engine)
    exchange = ExchangeServices(
        "our-gate",
        clock,
        SystemRandomSource(),
        feed,
        partners,
        ServedClaimStore(engine),
        SourceStore(engine),
        PartnerOpinionRecorder(clock, partners),
        PartnerHashRegistrar(platform),
    )
    yield ExchangeSetup(clock, feed, bank, platform, exchange, folder / "bank.db")
    engine.dispose()


def _no_index_queue_and_reader() -> tuple[None, None, None]:
    """Return None for the index, the queue and the picture reader: exchanges use none of them."""
    return cast("tuple[None, None, None]", (None,) * 3)


__all__ = ["PEOPLE_BANK", "ExchangeSetup", "MemoryFeed", "fake_hash", "open_exchange_setup"]
