"""What rows of claims and banks say, and questions about many of them in batches."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, Final, TypeVar

from entrenous.adapters.bank.tables import HOLDS, read_time, stored_time
from entrenous.model.bank import Bank
from entrenous.model.claim import Claim, ClaimState
from entrenous.model.decision import Outcome
from entrenous.model.ids import BankName, ClaimId

Thing = TypeVar("Thing")

BATCH: Final = 500  # SQLite takes some thousand parameters in a statement, no more


def batches(things: Iterable[Thing]) -> Iterator[list[Thing]]:
    """All of them, each once, in pieces that a database takes."""
    rest = iter(things)
    while batch := list(islice(rest, BATCH)):
        yield batch


def to_bank(row: Any) -> Bank:
    """The bank of a row."""
    claimed, confirmed = Outcome(row.on_claimed), Outcome(row.on_confirmed)
    return Bank(BankName(row.name), row.radius, claimed, confirmed, row.shadow)


def from_claim(claim: Claim) -> dict[str, Any]:
    """The columns of a claim."""
    kept = {name: value for name, value in asdict(claim).items() if name != "added"}
    return {**kept, "made_at": stored_time(claim.made_at)}


def on_hash(claim: Claim, added: int | None) -> Claim:
    """The claim as it stands on a hash that a reviewer ``added`` (tables.py); else as it is."""
    if added is None:
        return claim
    if added == HOLDS:
        return replace(claim, state=ClaimState.WAITING, added=True)
    confirmed = max(added, claim.confirmed)
    return replace(claim, state=ClaimState.CONFIRMED, confirmed=confirmed, added=True)


def to_claim(row: Any) -> Claim:
    """The claim of a row."""
    return Claim(
        id=ClaimId(row.id),
        bank=BankName(row.bank),
        state=ClaimState(row.state),
        kind=row.kind,
        quality=row.quality,
        made_at=read_time(row.made_at),
        holder_sha256=row.holder_sha256,
        reason=row.reason,
        jurisdiction=row.jurisdiction,
        disputes=row.disputes,
        confirmed=row.confirmed,
    )
