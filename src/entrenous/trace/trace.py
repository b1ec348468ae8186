"""Whose copy is this? The whole of tracing, from a found file to a verdict.

The found picture is laid over each sent one that it might be; only then are the keys of that
picture's copies asked for. Every copy of every picture that was compared counts in the bound on
false accusation, whether or not its picture fitted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.lay import lay_over, lay_under
from entrenous.craft.align.register import Registration, register
from entrenous.craft.crypto.derive import stream
from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.craft.mark.code import stream_bytes
from entrenous.craft.mark.listen import listen, scores
from entrenous.craft.mark.prepare import prepare
from entrenous.craft.mark.recode import PIXELS_MAX, recoded
from entrenous.craft.media.resize import resize
from entrenous.craft.weigh.verdict import weigh
from entrenous.model.ids import MessageName, RecipientId
from entrenous.model.message import Copy, Message, SentPicture
from entrenous.model.picture import Picture
from entrenous.model.verdict import Finding, NothingToWeigh, Trace, Verdict, Warp
from entrenous.ports import Device
from entrenous.spec import COPY_CONTEXT


@dataclass(frozen=True, slots=True)
class _Fit:
    """A sent picture that the found one lies on, and what its copies' marks say."""

    message: MessageName
    warp: Warp
    verdict: Verdict


def trace_picture(untrusted_data: bytes, device: Device) -> Trace:
    """Say which copy a found picture is, and keep the answer so that a case can be opened from it.

    Raises:
        NothingToWeigh: there is no copy on this device to compare with.
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp.
    """
    found = device.read_picture(untrusted_data)
    candidates = device.ledger.near(fingerprint(found))
    if not candidates:
        raise NothingToWeigh
    compared = sum(len(sent.copies) for _, sent in candidates)
    fit = _best_fit(found, candidates, compared, device)
    trace = Trace(
        number=1 + max((kept.number for kept in device.ledger.traces()), default=0),
        at=device.clock.now(),
        leak_sha256=sha256(untrusted_data),
        verdict=Verdict(Finding.NOBODY, (), {}, {}) if fit is None else fit.verdict,
        message=None if fit is None else fit.message,
        warp=None if fit is None else fit.warp,
    )
    device.ledger.note(trace)
    return trace


def original_of(sent: SentPicture, device: Device) -> Picture:
    """The picture that a message's copies were marked from, decoded and reduced as it was then."""
    read = device.read_picture(device.vault.kept(sent.original))
    return read if sent.size_px is None else resize(read, sent.size_px)


def _best_fit(
    found: Picture,
    candidates: tuple[tuple[Message, SentPicture], ...],
    compared: int,
    device: Device,
) -> _Fit | None:
    """The first candidate of which a copy is named; else the first on which the leak lies at
    all.
    """
    first: _Fit | None = None
    for message, sent in candidates:
        fit = _fit(found, message, sent, compared, device)
        if fit is not None and fit.verdict.finding is not Finding.NOBODY:
            return fit
        first = first or fit
    return first


def _fit(
    found: Picture, message: Message, sent: SentPicture, compared: int, device: Device
) -> _Fit | None:
    original = original_of(sent, device)
    registration = register(np.asarray(found), np.asarray(original))
    if registration is None:
        return None
    laid, covered = lay_over(np.asarray(found), registration)
    prepared = prepare(np.asarray(original))
    heard = listen(laid, covered, prepared, _laid_recoded(found, original, registration))
    measured = scores(heard, (_key_stream(copy, original) for copy in sent.copies))
    verdict = weigh(_by_label(sent.copies, measured), compared=compared)
    return _Fit(message.name, registration.warp, verdict)


def _laid_recoded(
    found: Picture, original: Picture, registration: Registration
) -> NDArray[np.float32] | None:
    """The original coded as the leak was, on its own grid; None when the leak is no small JPEG."""
    tables = found.encoding.tables
    if not tables or 0 not in tables or found.pixels > PIXELS_MAX:
        return None
    under, inside = lay_under(np.asarray(original), registration)
    plane = recoded(np.asarray(found), under, inside, tables[0])
    return lay_over(plane, registration)[0]


def _key_stream(copy: Copy, original: Picture) -> bytes:
    size = stream_bytes(original.width_px, original.height_px)
    return stream(copy.seed, COPY_CONTEXT, size)


def _by_label(copies: tuple[Copy, ...], measured: NDArray[np.float64]) -> dict[RecipientId, float]:
    """Scores by the sender's name for each copy; a person's further devices are numbered."""
    labelled: dict[RecipientId, float] = {}
    for copy, score in zip(copies, measured, strict=True):
        label, number = copy.to, 2
        while label in labelled:
            label, number = RecipientId(f"{copy.to} (device {number})"), number + 1
        labelled[label] = float(score)
    return labelled
