"""The platform's banks: the two that every gate has, imported lists, and the policy of each."""

import csv
import re
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import PDQ_BYTES
from entrenous.fingerprint.nouns import BadFingerprint
from entrenous.stop.exchange_nouns import NAME
from entrenous.stop.judge.look_back import look_back_all
from entrenous.stop.nouns import (
    FOR_NO_LIST,
    PEOPLE,
    RELEASED,
    RELEASED_RADIUS,
    BadBankName,
    BadPolicy,
    Bank,
    BankActs,
    Imported,
    NoHashes,
    NotForLists,
)
from entrenous.stop.platform import Platform
from entrenous.stop.register import new_claim_id
from entrenous.stop.registration import MATCHING, Claim, ClaimEvent, ClaimState, Registration
from entrenous.stop.stores import BankStore
from entrenous.stop.upload_record import Outcome

_AT_ONCE: Final = 5000  # hashes in a transaction: about a second
_HEADINGS: Final = frozenset({"hash", "hex", "pdq"})
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


def prepare_banks(bank: BankStore) -> None:
    """Make the banks "people" and "released" where they are missing; policies are left alone."""
    have = {one.name for one in bank.banks()}
    through = Outcome.LET_THROUGH
    for wanted in (Bank(PEOPLE), Bank(RELEASED, RELEASED_RADIUS, through, through)):
        if wanted.name not in have:
            bank.set_bank(wanted)


def banks_as_they_act(platform: Platform) -> tuple[Bank, ...]:
    """Every bank; where the gate is in shadow, each of them is."""
    banks = platform.bank.banks()
    if not platform.limits.shadow:
        return banks
    return tuple(replace(one, shadow=True) for one in banks)


def bank_for_list(untrusted_name: str, platform: Platform) -> BankName:
    """The bank that a list may be brought into; it need not be there yet.

    Raises:
        NotForLists: people fill it themselves, or what is in it is let through.
        BadBankName: there is none of that name, and none can be made.
    """
    name = BankName(untrusted_name)
    if name in FOR_NO_LIST:
        raise NotForLists(bank=name)
    is_there = name in {bank.name for bank in platform.bank.banks()}
    if not is_there and not NAME.fullmatch(untrusted_name):  # HMA's clients name banks otherwise
        raise BadBankName
    return name


def import_hashes(  # noqa: PLR0913 - all but three have a default
    untrusted_csv: str,
    name: BankName,
    platform: Platform,
    *,
    confirmed: bool = False,
    looks_back: bool | None = None,
    shadow: bool = False,
) -> Imported:
    """Bring a list of PDQ hashes into a bank, which is made if it is missing.

    One hash a line, 64 hexadecimal digits in the first column; a heading, empty lines and lines
    that begin with "#" are passed over. A line that is no hash is reported and the rest is kept;
    what a claim in this bank asks for already is counted and not added again.
    ``confirmed`` says that the platform stands behind the list: uploads that fit are then refused,
    otherwise held. What was let through before is compared with what is new by a gate that runs, or
    by the next one; with ``looks_back`` here, before this returns, with all that is in the list;
    if that is False, by nobody. The list is stored some thousand hashes at a time, so that uploads
    need not wait for all of it.

    ``shadow``: a bank that is made is in shadow from its first hash on.

    Raises:
        NoHashes: lines were read, and none is a hash, or there is nothing in the list, not even
            a line that says so; nothing was changed.
        BankActs: it was to be in shadow, and is there and is not; nothing was changed.
    """
    hashes, refused = read_hashes(untrusted_csv)
    if not hashes and (refused or not untrusted_csv.strip()):
        raise NoHashes(lines=len(refused))
    there = {bank.name: bank for bank in platform.bank.banks()}
    if name not in there:
        platform.bank.set_bank(Bank(name, shadow=shadow))
    elif shadow and not there[name].shadow:
        raise BankActs(bank=name)
    enough = {ClaimState.CONFIRMED} if confirmed else MATCHING  # a confirmed one asks for more
    known = dict(platform.bank.listed(name, hashes, enough))
    new = [bits for bits in dict.fromkeys(hashes) if bits not in known]
    wanted = [_listed(bits, name, platform, confirmed=confirmed) for bits in new]
    if looks_back is None:
        wanted = [replace(one, looks_back=True) for one in wanted]
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        known |= platform.bank.register_new(enough, *some)  # another import may be at it
    accepted = [one for one in wanted if one.whole[0] not in known]
    claims = [*known.values(), *(one.claim for one in accepted)] if looks_back else []
    found = look_back_all([one.id for one in claims], platform)
    return Imported(len(accepted), refused, found, len(hashes) - len(accepted))


def read_hashes(untrusted_csv: str) -> tuple[list[bytes], tuple[tuple[int, str], ...]]:
    """The hashes of a list, 32 bytes each, and which lines are none, and why."""
    hashes = list[bytes]()
    refused = list[tuple[int, str]]()
    for number, line in enumerate(_LINE_END.split(untrusted_csv), start=1):
        text = _first_column(line)
        if not text or text.startswith("#") or (number == 1 and text in _HEADINGS):
            continue
        try:
            hashes.append(_bits(text))
        except BadFingerprint as problem:
            refused.append((number, str(problem)))
    return hashes, tuple(refused)


def _first_column(line: str) -> str:
    """Lower-case; of a line that is no CSV, all of it. One line at a time: an odd quote in one does
    not swallow the next.
    """
    try:
        row = next(csv.reader([line]), [""])
    except csv.Error:
        row = [line]
    return row[0].strip().lower() if row else ""


def _bits(text: str) -> bytes:
    if len(text) != 2 * PDQ_BYTES or not set(text) <= set("0123456789abcdef"):
        raise BadFingerprint
    return bytes.fromhex(text)


def _listed(bits: bytes, name: BankName, platform: Platform, *, confirmed: bool) -> Registration:
    """A claim without a holder: the list does not say how much detail the picture had."""
    state = ClaimState.CONFIRMED if confirmed else ClaimState.WAITING
    now = platform.clock.now()
    return Registration(Claim(new_claim_id(platform), name, state, "pdq", 100, now), (bits,))


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
