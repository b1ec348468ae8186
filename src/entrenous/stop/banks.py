"""The platform's banks: the two that every gate has, and lists brought in from elsewhere."""

import csv
import io
from typing import Final

from entrenous.model.bank import (
    PEOPLE,
    RELEASED,
    Bank,
    Claim,
    ClaimState,
    Imported,
    Outcome,
    Registration,
)
from entrenous.model.fingerprint import BadFingerprint
from entrenous.model.ids import BankName
from entrenous.ports import BankStore, Platform
from entrenous.spec import PDQ_BYTES
from entrenous.stop.register import new_claim_id

RELEASED_RADIUS: Final = 16  # closer than a match: the same upload again, saved anew
_HEADINGS: Final = frozenset({"hash", "hex", "pdq"})


def prepare_banks(bank: BankStore) -> None:
    """Make the banks "people" and "released" where they are missing; policies are left alone."""
    have = {one.name for one in bank.banks()}
    through = Outcome.LET_THROUGH
    for wanted in (Bank(PEOPLE), Bank(RELEASED, RELEASED_RADIUS, through, through)):
        if wanted.name not in have:
            bank.set_bank(wanted)


def import_hashes(
    untrusted_csv: str, name: BankName, platform: Platform, *, confirmed: bool = False
) -> Imported:
    """Bring a list of PDQ hashes into a bank, which is made if it is missing.

    One hash a line, 64 hexadecimal digits in the first column; a heading, empty lines and lines
    that begin with "#" are passed over. A line that is no hash is reported and the rest is kept.
    ``confirmed`` says that the platform stands behind the list: uploads that fit are then refused,
    otherwise held.
    """
    if name not in {bank.name for bank in platform.bank.banks()}:
        platform.bank.set_bank(Bank(name))
    accepted: list[Registration] = []
    refused: list[tuple[int, str]] = []
    for number, row in enumerate(csv.reader(io.StringIO(untrusted_csv)), start=1):
        text = row[0].strip().lower() if row else ""
        if not text or text.startswith("#") or (number == 1 and text in _HEADINGS):
            continue
        try:
            accepted.append(_listed(_bits(text), name, platform, confirmed=confirmed))
        except BadFingerprint as problem:
            refused.append((number, str(problem)))
    platform.bank.register(*accepted)
    return Imported(len(accepted), tuple(refused))


def _bits(text: str) -> bytes:
    if len(text) != 2 * PDQ_BYTES or not set(text) <= set("0123456789abcdef"):
        raise BadFingerprint
    return bytes.fromhex(text)


def _listed(bits: bytes, name: BankName, platform: Platform, *, confirmed: bool) -> Registration:
    """A claim without a holder: the list does not say how much detail the picture had."""
    state = ClaimState.CONFIRMED if confirmed else ClaimState.WAITING
    now = platform.clock.now()
    return Registration(Claim(new_claim_id(platform), name, state, "pdq", 100, now), (bits,))
