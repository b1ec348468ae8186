"""The form of a report of a verdict, field by field (docs/spec/report.md section 1).

What a field may hold is refused with ValueError, which the reader of the whole turns into words.
"""

import math
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from entrenous.model.label import breaks_a_line
from entrenous.model.verdict import Finding
from entrenous.spec import LABEL_CHARS_MAX

_LABEL_MAX: Final = LABEL_CHARS_MAX + 20  # a person's further devices are numbered
Entry = TypeVar("Entry")


class LaidForm(msgspec.Struct, forbid_unknown_fields=True):
    """How the leak lies over the original."""

    homography: list[str]
    inliers: int
    misfit: str


class EvidenceForm(msgspec.Struct, forbid_unknown_fields=True):
    """What was heard, before any key."""

    chips: int
    sha256: str


class ReceiptForm(msgspec.Struct, forbid_unknown_fields=True):
    """One receipt, and what proves it."""

    statement: str
    proof: str


class ProofForm(msgspec.Struct, forbid_unknown_fields=True):
    """What ties a copy to its message and to its recipient's device."""

    message: str
    place: int
    person: str
    device: str
    nonce: str | None
    marks: list[str | None]
    receipts: list[ReceiptForm]


class CopyForm(msgspec.Struct, forbid_unknown_fields=True):
    """One compared copy."""

    to: str
    seed: str
    sha256: str
    first_score: str
    round: int
    score: str
    chance: str
    likelihood_ratio: str
    proof: ProofForm | None


class ReportForm(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    schema: str
    warning: str
    made_at: str
    made_with: dict[str, str]
    trace: int
    message: str
    leak_sha256: str
    original_sha256: str
    size_px: int | None
    finer: int
    registration: LaidForm
    evidence: EvidenceForm
    compared: int
    alpha: str
    dither: str
    copies: list[CopyForm]
    finding: Finding
    named: list[str]
    cards: list[str]
    digest: str
    device: str | None
    signature: str | None


def short_texts(untrusted: Mapping[str, str]) -> dict[str, str]:
    """A few short texts by name, each of one line."""
    if len(untrusted) > 40 or any(len(key + text) > 400 for key, text in untrusted.items()):
        raise ValueError("what it was made with is too long")
    return {_one_line(name): _one_line(text) for name, text in untrusted.items()}


def label_of(text: str) -> str:
    """A label as labels are (model/label.py), but in any form of Unicode: a contact's name keeps
    the one that it came in.
    """
    if not text.strip() or len(text) > _LABEL_MAX:
        raise ValueError("a label is empty or too long")
    return _one_line(text)


def _one_line(text: str) -> str:
    """Text that can stand in a line of ours, and can neither end it nor write over it."""
    if any(map(breaks_a_line, text)):
        raise ValueError("a label, or what it was made with, is not plain text of one line")
    return text


def within(number: int, least: int, most: int) -> int:
    """A number within bounds."""
    if not least <= number <= most:
        raise ValueError("a number is out of range")
    return number


def fraction(text: str, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number in its one form, within bounds."""
    if len(text) > 32:
        raise ValueError("a fraction is too long")
    value = float(text)
    if not math.isfinite(value) or repr(value) != text or not least <= value <= most:
        raise ValueError("a fraction is out of range or not in its one form")
    return value


def few(several: list[Entry], most: int) -> list[Entry]:
    """A list that is not too long."""
    if len(several) > most:
        raise ValueError("it holds more than there can be")
    return several


def hex_up_to(text: str, most: int) -> bytes:
    """Bytes in lower-case hex, 1 to ``most`` of them."""
    if not 1 <= len(text) // 2 <= most:
        raise ValueError("what was signed has not its length")
    return hex_of(text, len(text) // 2)


def hex_of(text: str, size: int = 32) -> bytes:
    """``size`` bytes in lower-case hex."""
    if len(text) != 2 * size or not set(text) <= set("0123456789abcdef"):
        raise ValueError("a hash or a secret has not its length or form")
    return bytes.fromhex(text)
