"""Traces as a person is shown them: with the names that she calls people by now."""

from dataclasses import replace
from typing import TYPE_CHECKING

from entrenous.model.verdict import Trace
from entrenous.ports import Device
from entrenous.send.acquaintance.called import called_now
from entrenous.trace.called import as_called, kept_as

if TYPE_CHECKING:  # a case shows a trace without loading what traces
    from entrenous.trace.any import Traced


def shown(traced: "Traced", device: Device) -> "Traced":
    """What was just traced."""
    trace = as_called(traced.trace, called_now(device), device)
    seen = traced.investigation
    known = None if seen is None else replace(seen, trace=trace)
    return replace(traced, trace=trace, investigation=known)


def trace_here(trace: Trace | None, device: Device) -> Trace | None:
    """The trace that a case was opened from, under the number that it has here; None if it is not
    here. A case keeps its trace as it was, also when an archive moved both.
    """
    kept = None if trace is None else kept_as(trace, device)
    return None if kept is None else as_called(kept, called_now(device), device)
