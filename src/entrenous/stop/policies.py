"""The operator says what a bank does, and which claim matches no more (docs/spec/gate.md 5)."""

from dataclasses import dataclass, replace
from typing import TypeVar

from entrenous.model.bank import RELEASED, BadPolicy, Bank
from entrenous.model.claim import Claim, ClaimEvent
from entrenous.model.decision import Outcome
from entrenous.model.ids import BankName, ClaimId
from entrenous.ports import Platform

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What is to be another way; None leaves it as it is."""

    radius: int | None = None
    shadow: bool | None = None
    on_claimed: Outcome | None = None
    on_confirmed: Outcome | None = None


def set_policy(name: BankName, change: PolicyChange, platform: Platform) -> Bank:
    """Change a bank's policy; the next upload is judged by it.

    Raises:
        NoSuchBank: there is none of that name.
        BadPolicy: a radius beyond 31 bits, refusing by a claim alone, or a "released" bank that
            would hold or refuse what a person let through.
    """
    before = platform.bank.bank(name)
    try:
        after = replace(
            before,
            radius=_or(change.radius, before.radius),
            shadow=_or(change.shadow, before.shadow),
            on_claimed=_or(change.on_claimed, before.on_claimed),
            on_confirmed=_or(change.on_confirmed, before.on_confirmed),
        )
    except ValueError as problem:
        raise BadPolicy(why=problem) from None
    if name == RELEASED and _does_something(after):
        raise BadPolicy(why="what a person let through is let through")
    if after != before:
        platform.bank.set_bank(after)
    return after


def suspend_claim(claim: ClaimId, platform: Platform) -> Claim:
    """A claim that was made to harm others matches nothing from now on; saying so again changes
    nothing. Its owner may register anew.

    Raises:
        NoSuchClaim: there is none of that name.
        AlreadyWithdrawn: its owner was faster.
    """
    return platform.bank.move(claim, ClaimEvent.SUSPEND)


def _or(wanted: _T | None, otherwise: _T) -> _T:
    return otherwise if wanted is None else wanted


def _does_something(bank: Bank) -> bool:
    through = Outcome.LET_THROUGH
    return bank.shadow or (bank.on_claimed, bank.on_confirmed) != (through, through)
