"""What a case says about the leaked copy, in words."""

from typing import Final

from entrenous.base.language import translatable, translated
from entrenous.device.device import Device
from entrenous.device.sent_copies import trace_here
from entrenous.respond.nouns import Case
from entrenous.watermark.verdict import Trace

_FITS: Final = translatable("The leak fits the copy of {named}; it says no more.")


def named_copies(case: Case, device: Device) -> tuple[Trace | None, tuple[str, ...]]:
    """Return the case's trace, if it is stored here, and the holders of the copies that it
    names.
    """
    here = trace_here(case.trace, device)
    known = here or case.trace
    return here, () if known is None else known.verdict.named


def fits_text(named: tuple[str, ...]) -> str:
    """Say whose copy the picture matches; "" if none."""
    return translated(_FITS).format(named=", ".join(named)) if named else ""
