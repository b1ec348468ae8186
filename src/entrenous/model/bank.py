"""What a platform keeps to protect people: banks of fingerprints and the policy of each.

Nothing here says who somebody is (docs/spec/gate.md section 5).
"""

from dataclasses import dataclass
from typing import Final

from entrenous.model.decision import Outcome
from entrenous.model.errors import Malformed, NotFound, Refused, Unreachable
from entrenous.model.ids import BankName
from entrenous.spec import PDQ_RADIUS

PEOPLE: Final = BankName("people")  # what people register themselves
RELEASED: Final = BankName("released")  # uploads that a reviewer let through
FOR_NO_LIST: Final = frozenset({PEOPLE, RELEASED})
RELEASED_RADIUS: Final = 16  # closer than a match: the same upload again, saved anew
SAME_BITS: Final = 4  # at most so far apart it is the same, saved anew, and hardly anything covered


@dataclass(frozen=True, slots=True)
class Bank:
    """A set of protected fingerprints and the platform's policy for it.

    ``radius`` is the largest distance that counts, in bits. ``on_claimed`` is what happens to an
    upload that fits an unconfirmed claim, ``on_confirmed`` to one that fits a confirmed claim.
    In ``shadow`` that is only written down, and nothing is done.
    """

    name: BankName
    radius: int = PDQ_RADIUS
    on_claimed: Outcome = Outcome.HOLD
    on_confirmed: Outcome = Outcome.REFUSE
    shadow: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= PDQ_RADIUS:
            raise ValueError("a radius lies between 0 and 31 bits")
        if self.on_claimed is Outcome.REFUSE:
            raise ValueError("a claim alone never blocks")


@dataclass(frozen=True, slots=True)
class Entry:
    """One distinct registered hash. Numbers grow and are never used again."""

    number: int
    bits: bytes
    part: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How full a store is: claims that match, and distinct hashes."""

    claims: int
    hashes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a list of hashes: lines by number, with the reason they were refused, how many
    hashes were there ``already``, and how many uploads that were let through fit it.
    """

    accepted: int
    refused: tuple[tuple[int, str], ...]
    looked_back: int = 0
    already: int = 0


class NoSuchBank(NotFound):
    """There is no bank called {bank} here."""


class NotForLists(Refused):
    """
    Nothing was imported: the bank {bank} is not for lists. In "people" is what people registered
    themselves, and what is in "released" is let through. Name a bank of your own.
    """


class BadBankName(Refused):
    """
    A bank's name has 2 to 40 of the characters a-z, 0-9 and -, at both ends no -. Nothing was
    imported.
    """


class NoHashes(Malformed):
    """
    In this list is no hash, so nothing was imported: {lines} lines were read. A line has 64
    hexadecimal digits in its first column, and the file is text in UTF-8.
    """


class BankActs(Refused):
    """
    The bank {bank} is there and acts on what fits it, so nothing was added. Put it into shadow
    first, or leave --shadow out: entrenous gate bank policy {bank} --shadow
    """


class BadPolicy(Refused):
    """
    That policy is not possible, so nothing was changed: {why}.
    """


class UnusableBank(Malformed):
    """
    The gate's database {path} cannot be used: {why}. Nothing was accepted or changed. What this
    account may not read or write, give to the account that the gate runs as; in the place of what
    is damaged, put a backup.
    """


class NewerBank(Refused):
    """
    The gate's database was written by a newer Entrenous, so it was not touched. Update Entrenous:
    {update}
    """


class OlderBank(Refused):
    """
    The gate's database was written by an earlier Entrenous, and this one cannot read it, so it was
    not touched. Run it with the Entrenous that wrote it, or start with an empty database: another
    "--data" folder or another PostgreSQL.
    """


class BankUnreachable(Unreachable):
    """
    The platform's database does not answer: {why}. Nothing was accepted; try again in a
    moment.
    """
