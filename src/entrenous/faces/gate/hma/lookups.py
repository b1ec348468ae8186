"""Which contents lie near a hash: by the gate's own index, store and policies."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from entrenous.faces.gate.hma.names import hma_name
from entrenous.model.bank import RELEASED, Bank
from entrenous.model.claim import Claim
from entrenous.model.decision import Outcome
from entrenous.model.fingerprint import Match
from entrenous.model.ids import BankName
from entrenous.ports import Platform
from entrenous.stop.banks import banks_as_they_act
from entrenous.stop.look import Seen
from entrenous.stop.weigh import answered, called_for, release_of


@dataclass(frozen=True, slots=True)
class Fit:
    """A claim that matches, ``distance`` bits away, and the number of the hash that it is on."""

    number: int
    distance: int
    claim: Claim
    bank: Bank


def fits_near(seen: Seen, platform: Platform) -> list[Fit]:
    """Every claim on a whole picture's hash within its bank's radius of one of these; nearest
    first.
    """
    closest: dict[int, int] = {}
    for one in platform.index.near([bits for _, bits in seen], part=False):
        closest[one.entry] = min(one.distance, closest.get(one.entry, one.distance))
    claims = platform.bank.claims_on(closest)
    banks: dict[BankName, Bank] = {bank.name: bank for bank in banks_as_they_act(platform)}
    fits = [Fit(entry, closest[entry], claim, banks[claim.bank]) for entry, claim in claims]
    inside = [fit for fit in fits if fit.distance <= fit.bank.radius]
    return sorted(inside, key=lambda fit: (fit.distance, fit.number))


def all_of(fits: list[Fit], wanted: Collection[str] | None) -> list[Fit]:
    """Those in banks of these names, or in all, whatever the gate would do; one of each content."""
    first: dict[int, Fit] = {}
    for fit in _in_banks(fits, wanted):
        first.setdefault(fit.number, fit)
    return list(first.values())


def acted_on(fits: list[Fit], wanted: Collection[str] | None) -> dict[str, list[dict[str, Any]]]:
    """Those that the gate would act on, by bank: not in shadow, and not what was answered by a
    reviewer who let this picture through (stop.weigh.answered).
    """
    released = [release_of(_match(fit), fit.claim) for fit in fits if fit.bank.name == RELEASED]
    answer: dict[str, list[dict[str, Any]]] = {}
    for fit in _in_banks(fits, wanted):
        outcome = called_for(_match(fit), fit.claim, fit.bank)
        is_answered = outcome is not Outcome.LET_THROUGH and answered(
            outcome, _match(fit), fit.claim, released
        )
        if fit.bank.shadow or is_answered:
            continue
        said = described(fit)
        contents = answer.setdefault(hma_name(fit.bank.name), [])
        if said not in contents:
            contents.append(said)
    return answer


def described(fit: Fit) -> dict[str, Any]:
    """As HMA has it: the distance is text."""
    return {"bank_content_id": fit.number, "distance": str(fit.distance)}


def _in_banks(fits: list[Fit], wanted: Collection[str] | None) -> Iterator[Fit]:
    shown = (fit for fit in fits if fit.bank.name != RELEASED)
    return (fit for fit in shown if wanted is None or hma_name(fit.bank.name) in wanted)


def _match(fit: Fit) -> Match:
    return Match(fit.claim.bank, fit.claim.id, fit.distance, "")
