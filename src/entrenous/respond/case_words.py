"""What a case says about the copy that got out, in words."""

from typing import Final

from entrenous.base.language import translatable, translated
from entrenous.device.device import Device
from entrenous.device.sent_copies import trace_here
from entrenous.respond.nouns import Case
from entrenous.watermark.verdict import Trace

_FITS: Final = translatable("The leak fits the copy of {named}; it says no more.")


def named_copies(case: Case, device: Device) -> tuple[Trace | None, tuple[str, ...]]:
    """Return the case's trace as it is stored here, if it is, and whose copies it names."""
    here = trace_here(case.trace, device)
    known = here or case.trace
    return here, () if known is None else known.verdict.named


def fits_text(named: tuple[str, ...]) -> str:
    """Say whose copy it fits; "" if it fits none."""
    return translated(_FITS).format(named=", ".join(named)) if named else ""
