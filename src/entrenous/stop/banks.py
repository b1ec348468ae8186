"""The platform's banks: the two that every gate has, imported lists, and policies."""

from __future__ import annotations

import csv
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import PDQ_BYTES
from entrenous.fingerprint.nouns import BadFingerprint
from entrenous.stop.judge.look_back import look_back_in_batches
from entrenous.stop.nouns import (
    BUILT_IN_BANKS,
    PEOPLE_BANK,
    RELEASED_BANK,
    RELEASED_RADIUS_BITS,
    BadBankName,
    BadPolicy,
    Bank,
    BankAlreadyActive,
    BankTakesNoLists,
    ImportResult,
    NoHashes,
)
from entrenous.stop.platform import Platform
from entrenous.stop.register import new_claim_id
from entrenous.stop.registration import MATCHING_STATES, Claim, ClaimEvent, ClaimState, Registration
from entrenous.stop.upload_record import REVIEWER_NAME_PATTERN, Outcome

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore

_HASHES_PER_TRANSACTION: Final = 5000  # hashes per transaction, which then takes about a second
HASH_COLUMN_HEADINGS: Final = frozenset({"hash", "hex", "pdq"})
_LINE_END_PATTERN: Final = re.compile(r"\r\n|\n|\r")


def create_built_in_banks(bank: BankStore) -> None:
    """Create the banks "people" and "released" if they are missing; do not change existing ones."""
    existing = {one.name for one in bank.banks()}
    through = Outcome.LET_THROUGH
    for wanted in (Bank(PEOPLE_BANK), Bank(RELEASED_BANK, RELEASED_RADIUS_BITS, through, through)):
        if wanted.name not in existing:
            bank.set_bank(wanted)


def banks_with_gate_shadow(platform: Platform) -> tuple[Bank, ...]:
    """Return all banks; if the gate is in shadow mode, each is returned as one in shadow mode."""
    banks = platform.bank.banks()
    if not platform.limits.shadow:
        return banks
    return tuple(replace(one, shadow=True) for one in banks)


def bank_name_for_list(untrusted_name: str, platform: Platform) -> BankName:
    """Return the name of the bank for an imported list; the bank need not exist yet.

    Raises:
        BankTakesNoLists: the bank is "people" or "released".
        BadBankName: there is no bank of that name, and the name is not valid for a new one.
    """
    name = BankName(untrusted_name)
    if name in BUILT_IN_BANKS:
        raise BankTakesNoLists(bank=name)
    exists = name in {bank.name for bank in platform.bank.banks()}
    # Banks that HMA's clients made may have other names.
    if not exists and not REVIEWER_NAME_PATTERN.fullmatch(untrusted_name):
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
) -> ImportResult:
    """Import a list of PDQ hashes into a bank, which is created if it is missing.

    The list has one hash per line, as 64 hexadecimal digits in the first column. A heading, empty
    lines and lines that begin with "#" are skipped. A line that is not a hash is reported, and the
    rest is imported. A hash that the bank already has, or that the list repeats, is counted but not
    added again. A few thousand hashes are stored at a time, so that uploads need not wait for the
    whole list.

    Args:
        untrusted_csv: the list.
        name: the bank.
        platform: the platform that has the bank.
        confirmed: the platform vouches for the list, so matching uploads are refused and not only
            held.
        looks_back: if None, a gate compares accepted uploads with the new hashes while it runs, now
            or later. If True, this call compares accepted uploads with the whole list before it
            returns. If False, accepted uploads are not compared with the list.
        shadow: if the bank is created, it is in shadow mode from its first hash on.

    Raises:
        NoHashes: the list has bad lines and no hash, or it is blank; nothing was changed. (A list
            that has only comments is valid, and adds nothing.)
        BankAlreadyActive: ``shadow`` is True, but the bank exists and is not in shadow mode;
            nothing was changed.
    """
    hashes, refused = read_hashes(untrusted_csv)
    if not hashes and (refused or not untrusted_csv.strip()):
        raise NoHashes(lines=len(refused))
    banks = {bank.name: bank for bank in platform.bank.banks()}
    if name not in banks:
        platform.bank.set_bank(Bank(name, shadow=shadow))
    elif shadow and not banks[name].shadow:
        raise BankAlreadyActive(bank=name)
    # If the list is confirmed, a hash that has only a waiting claim is added again.
    enough = {ClaimState.CONFIRMED} if confirmed else MATCHING_STATES
    known = dict(platform.bank.find_hashes_in_bank(name, hashes, enough))
    new = [bits for bits in dict.fromkeys(hashes) if bits not in known]
    wanted = [
        _registration_of_listed_hash(bits, name, platform, confirmed=confirmed) for bits in new
    ]
    if looks_back is None:
        wanted = [replace(one, looks_back=True) for one in wanted]
    for start in range(0, len(wanted), _HASHES_PER_TRANSACTION):
        batch = wanted[start : start + _HASHES_PER_TRANSACTION]
        # Another import may have added hashes meanwhile.
        known |= platform.bank.register_new(enough, *batch)
    accepted = [one for one in wanted if one.whole[0] not in known]
    claims = [*known.values(), *(one.claim for one in accepted)] if looks_back else []
    found = look_back_in_batches([one.id for one in claims], platform)
    return ImportResult(len(accepted), refused, found, len(hashes) - len(accepted))


def read_hashes(untrusted_csv: str) -> tuple[list[bytes], tuple[tuple[int, str], ...]]:
    """Return a list's hashes, 32 bytes each, and the numbers of its bad lines with the reasons."""
    hashes = list[bytes]()
    refused = list[tuple[int, str]]()
    for number, line in enumerate(_LINE_END_PATTERN.split(untrusted_csv), start=1):
        text = first_csv_column(line)
        if not text or text.startswith("#") or (number == 1 and text in HASH_COLUMN_HEADINGS):
            continue
        try:
            hashes.append(parse_pdq_hash(text))
        except BadFingerprint as problem:
            refused.append((number, str(problem)))
    return hashes, tuple(refused)


def first_csv_column(line: str) -> str:
    """Return a line's first column in lower case, or the whole line if it is not CSV.

    Lines are parsed one at a time, so that an unclosed quote does not swallow the next line.
    """
    try:
        row = next(csv.reader([line]), [""])
    except csv.Error:
        row = [line]
    return row[0].strip().lower() if row else ""


def parse_pdq_hash(text: str) -> bytes:
    """Parse 64 hexadecimal digits in lower case; raises BadFingerprint."""
    if len(text) != 2 * PDQ_BYTES or not set(text) <= set("0123456789abcdef"):
        raise BadFingerprint
    return bytes.fromhex(text)


def _registration_of_listed_hash(
    bits: bytes, name: BankName, platform: Platform, *, confirmed: bool
) -> Registration:
    """Return a registration without a holder, for one hash of a list. Its quality is 100, since
    lists do not state a quality.
    """
    state = ClaimState.CONFIRMED if confirmed else ClaimState.WAITING
    now = platform.clock.now()
    return Registration(Claim(new_claim_id(platform), name, state, "pdq", 100, now), (bits,))


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """The changes to a bank's policy; a field that is None stays unchanged."""

    radius: int | None = None
    shadow: bool | None = None
    on_claimed: Outcome | None = None
    on_confirmed: Outcome | None = None


def set_policy(name: BankName, change: PolicyChange, platform: Platform) -> Bank:
    """Change a bank's policy, from the next upload on.

    Raises:
        NoSuchBank: there is no bank of that name.
        BadPolicy: the radius is not from 0 to 31 bits, an unconfirmed claim would refuse uploads,
            or the bank "released" would be in shadow mode, or hold or refuse uploads.
    """
    before = platform.bank.bank(name)
    try:
        wanted = {name: value for name, value in asdict(change).items() if value is not None}
        after = replace(before, **wanted)
    except ValueError as problem:
        raise BadPolicy(why=problem) from None
    if name == RELEASED_BANK and (
        after.shadow or {after.on_claimed, after.on_confirmed} != {Outcome.LET_THROUGH}
    ):
        raise BadPolicy(why="uploads that a reviewer released are always let through")
    if after != before:
        platform.bank.set_bank(after)
    return after


def suspend_claim(claim: ClaimId, platform: Platform) -> Claim:
    """Suspend a claim that was made to harm others: it matches nothing from now on.

    Suspending a suspended claim changes nothing. The claim's owner may register again.

    Raises:
        NoSuchClaim: there is no such claim.
        AlreadyWithdrawn: the claim is withdrawn.
    """
    return platform.bank.apply_event(claim, ClaimEvent.SUSPEND)
