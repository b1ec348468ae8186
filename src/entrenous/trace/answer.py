"""From what was heard to the trace that is kept; the same for pictures, clips and sounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from entrenous.craft.crypto.hashing import sha256
from entrenous.model.ids import MessageName
from entrenous.model.verdict import Finding, Part, Span, Trace, Verdict, Warp
from entrenous.ports import Device
from entrenous.trace.lost import Lost
from entrenous.trace.number import next_number

UNHEARD: Final = Verdict(Finding.NOBODY, (), {}, {})


@dataclass(frozen=True, slots=True)
class Said:
    """What the marks of one message's copies say; ``warp`` is None for a sound."""

    message: MessageName
    verdict: Verdict
    warp: Warp | None = None


def answer(  # noqa: PLR0913 - a trace is made of this many things
    said: Sequence[Said],
    untrusted_data: bytes,
    device: Device,
    *,
    compared: int,
    lost: Lost,
    span: Span | None = None,
) -> Trace:
    """The trace of a found file; it is not kept yet.

    Args:
        said: of every message that the file may be of; the first of which a copy is named is the
            one that the trace speaks of, else the first.
        untrusted_data: the file.
        device: where it is traced.
        compared: how many copies the chances count.
        lost: what could not be looked at.
        span: which part of a clip or a sound it is.
    """
    told = sorted(said, key=lambda one: not one.verdict.named)
    first = told[0] if told else None
    return Trace(
        number=next_number(device),
        at=device.clock.now(),
        leak_sha256=sha256(untrusted_data),
        verdict=UNHEARD if first is None else first.verdict,
        message=None if first is None else first.message,
        warp=None if first is None else first.warp,
        span=span,
        compared=compared,
        others=tuple(
            Part(one.message, one.verdict, one.warp) for one in told[1:] if one.verdict.named
        ),
        lost=lost.messages,
    )
