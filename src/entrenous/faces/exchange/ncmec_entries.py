"""Entries as NCMEC writes them (docs/spec/exchange.md section 4.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from entrenous.faces.exchange.xml_text import element
from entrenous.model.claim import MATCHING, Change, ClaimState
from entrenous.model.exchange import OURSELVES, ExchangePartner, Said
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import AGAINST
from entrenous.ports.exchange import Exchange
from entrenous.stop.exchange.horizon import moment
from entrenous.stop.exchange.pages import Slice

_DATE: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Whose a bank is, as far as the partner that asks may know."""

    ours: str
    asking: ExchangePartner
    by_bank: Mapping[BankName, ExchangePartner]

    @classmethod
    def of(cls, partner: ExchangePartner, exchange: Exchange) -> Self:
        """Other partners are named only for banks that this one may fetch."""
        others = {one.own_bank: one for one in exchange.partners.partners()}
        shown = {bank: others[bank] for bank in partner.banks if bank in others}
        return cls(exchange.name, partner, shown)

    def members(self) -> list[tuple[int, str]]:
        """Numbers and names, in order."""
        known = {OURSELVES: self.ours, self.asking.number: self.asking.name}
        known |= {one.number: one.name for one in self.by_bank.values()}
        return sorted(known.items())

    def owner(self, bank: BankName) -> tuple[int, str]:
        """Who brought what is in that bank."""
        one = self.by_bank.get(bank)
        return (OURSELVES, self.ours) if one is None else (one.number, one.name)


def member(number: int, name: str) -> str:
    """One member."""
    return element("member", name, id=number)


def entries(page: Slice, times: Sequence[int], numbers: Numbers, exchange: Exchange) -> str:
    """The element with a page's entries; there is at least one."""
    written = [moment(at_s).strftime(_DATE) for at_s in times]
    claims = [one.claim for one in page.changes if one.state in MATCHING]
    said = dict[ClaimId, list[Said]]()
    for opinion in exchange.partners.said(claims):
        said.setdefault(opinion.claim, []).append(opinion)
    inside = [
        _entry(one, at, numbers, said.get(one.claim, []))
        for one, at in zip(page.changes, written, strict=True)
    ]
    return element("images", "", *inside, maxTimestamp=max(written))


def _entry(change: Change, at: str, numbers: Numbers, said: Sequence[Said]) -> str:
    head = (
        member(*numbers.owner(change.bank)),
        element("timestamp", at),
        element("id", change.claim),
    )
    if change.state not in MATCHING:
        return element("deletedImage", "", *head)
    confirmed = change.state is ClaimState.CONFIRMED
    # The public client keeps the last of several: the one that was registered first.
    prints = (element("pdq", bits.hex()) for bits in reversed(change.hashes))
    return element(
        "image",
        "",
        *head,
        element("classification", "confirmed" if confirmed else "unconfirmed"),
        element("fingerprints", "", *prints),
        *_feedback(said),
    )


def _feedback(said: Sequence[Said]) -> list[str]:
    agree = [member(one.number, one.partner) for one in said if one.stance not in AGAINST]
    inside = list[str]()
    if agree:
        members = element("members", "", *agree)
        inside.append(element("affirmativeFeedback", "", members, type="PDQ"))
    against = [one for one in said if one.stance in AGAINST]
    if against:
        reasons = (part for one in against for part in _reason(one))
        whole = element("reasons", "", *reasons)
        inside.append(element("negativeFeedback", "", whole, type="PDQ"))
    return [element("feedback", "", *inside)] if inside else []


def _reason(one: Said) -> tuple[str, str]:
    members = element("members", "", member(one.number, one.partner))
    return element("reason", "", name=one.stance), members
