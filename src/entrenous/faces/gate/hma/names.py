"""Our banks under names that HMA's clients accept (docs/spec/hma.md section 2.1)."""

import re
from collections.abc import Collection
from typing import Final

from entrenous.faces.gate.hma.errors import BadParameter, BankThere, TwoBanks
from entrenous.model.bank import RELEASED, Bank, NoSuchBank
from entrenous.model.ids import BankName
from entrenous.ports import Platform

NAME_CHARS_MAX: Final = 64
_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)


def hma_name(name: str) -> str:
    """E.g. ``FROM_ALLY`` for ``from-ally``."""
    said = re.sub(r"[^A-Z0-9_]", "_", name.upper())
    return said if _NAME.fullmatch(said) else f"_{said}"


def shown_banks(platform: Platform) -> tuple[Bank, ...]:
    """All but the one that holds what reviewers let through, which is no list to match."""
    return tuple(bank for bank in platform.bank.banks() if bank.name != RELEASED)


def bank_called(untrusted_name: str, platform: Platform) -> Bank:
    """The one bank of that name; raises NoSuchBank, TwoBanks."""
    banks = [bank for bank in shown_banks(platform) if hma_name(bank.name) == untrusted_name]
    if not banks:
        raise NoSuchBank(bank=untrusted_name[:NAME_CHARS_MAX])
    if len(banks) > 1:
        raise TwoBanks
    return banks[0]


def new_name(untrusted_name: str, platform: Platform) -> BankName:
    """What a bank that is made here is called by us; raises BadParameter, BankThere."""
    if len(untrusted_name) > NAME_CHARS_MAX or not _NAME.fullmatch(untrusted_name):
        why = f"a name has A-Z, 0-9 and _, no digit first, at most {NAME_CHARS_MAX} of them"
        raise BadParameter(why=why)
    if untrusted_name in {hma_name(bank.name) for bank in platform.bank.banks()}:
        raise BankThere
    return BankName(untrusted_name.lower())


def names_wanted(untrusted_csv: str, platform: Platform) -> Collection[str] | None:
    """HMA's names of the banks that a look-up is limited to, from a list with commas; None for an
    empty list, which means all. Raises NoSuchBank.
    """
    wanted = [name.strip() for name in untrusted_csv.split(",") if name.strip()]
    if not wanted:
        return None
    known = {hma_name(bank.name) for bank in shown_banks(platform)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise NoSuchBank(bank=unknown[0][:NAME_CHARS_MAX])
    return frozenset(wanted)
