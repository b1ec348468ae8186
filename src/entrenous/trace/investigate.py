"""Whose copy is this? The whole of tracing a picture, with everything that a report shows.

The found picture is laid over the sent ones that it resembles (rounds.py); only then are the keys
of their copies asked for. Every copy of every picture that was tried counts in the bound on false
accusation, whether or not its picture fitted.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.lay import lay_over
from entrenous.craft.crypto.hashing import sha256
from entrenous.model.candidate import Candidate
from entrenous.model.ids import MessageId
from entrenous.model.message import Message
from entrenous.model.picture import Picture
from entrenous.model.verdict import Finding, NothingToWeigh, Part, Trace, Verdict
from entrenous.ports import Device
from entrenous.trace.frame import trace_frame
from entrenous.trace.number import next_number
from entrenous.trace.photo.fit import Fit, Found, Lying, Sent, lying, weighed
from entrenous.trace.photo.learn import learn
from entrenous.trace.photo.original import Originals
from entrenous.trace.photo.rounds import Round, rounds, tried

LEARNT_AT_ONCE = 8  # pictures whose look is missing; more would keep a person waiting


@dataclass(frozen=True, slots=True, eq=False)
class Investigation:
    """A trace, and what it rests on.

    ``fits`` are the sent pictures that the found one lies on: those of which a copy is named
    first, then as they were tried; ``trace`` speaks of the first, or of the clip that a frame was
    found of when there is none. ``compared`` is the number of
    copies in the bound, ``tried`` that of sent pictures that were laid under, and ``unlearnt``
    that of pictures which are known by their fingerprints alone.
    """

    trace: Trace
    found: Picture
    fits: tuple[Fit, ...]
    compared: int
    tried: int
    unlearnt: int


def investigate(
    untrusted_data: bytes,
    device: Device,
    found: Picture | None = None,
    originals: Originals | None = None,
) -> Investigation:
    """Say which copy a found picture is, and keep the answer so that a case can be opened from it.

    Args:
        untrusted_data: the file.
        device: whose copies it may be.
        found: what it shows, if it was decoded already.
        originals: what an earlier leak was laid over, when there are several.

    Raises:
        NothingToWeigh: no picture, and no clip that it shows, was sent from this device.
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp.
    """
    with ThreadPoolExecutor(1) as beside:
        decoding = beside.submit(_decoded, untrusted_data, device, found)
        strange = device.ledger.unlearnt()  # reads what all sent pictures look like
        leak = decoding.result()
        looking = beside.submit(leak.looks.features)  # which needs no vault
        candidates = _candidates(leak, strange, device)
        looking.result()
    seen = leak.picture
    lies, laid = _laid(leak, candidates, originals or Originals(device.read_picture), device)
    unlearnt = sum(not one.learnt for one in candidates)
    compared = sum(len(picture.copies) for _, picture in laid)
    frame = None if lies else trace_frame(seen, untrusted_data, device)
    if frame is not None:
        return Investigation(frame, seen, (), frame.compared, len(laid), unlearnt)
    if not compared:
        raise NothingToWeigh
    fits = _named_first([fit for one in lies for fit in weighed(one, compared)])
    trace = _trace(fits, compared, untrusted_data, device)
    device.ledger.note(trace)
    return Investigation(trace, seen, fits, compared, len(laid), unlearnt)


def laid_on(found: Picture, fit: Fit) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The found picture on the sent one's grid, (H, W, 3), and where it covers it, (H, W)."""
    return lay_over(np.asarray(found), fit.registration)


def _decoded(untrusted_data: bytes, device: Device, found: Picture | None) -> Found:
    return Found.of(device.read_picture(untrusted_data) if found is None else found)


def _candidates(
    leak: Found, strange: Sequence[tuple[MessageId, int]], device: Device
) -> tuple[Candidate, ...]:
    """What it may be; a few pictures whose look is missing are looked at first."""
    if len(strange) <= LEARNT_AT_ONCE:
        learn(strange, device)
    return device.ledger.near(leak.picture)


def _laid(
    found: Found, candidates: Sequence[Candidate], originals: Originals, device: Device
) -> tuple[list[Lying], tuple[Sent, ...]]:
    """Where it lies, and every sent picture that was tried; no key is known here."""
    read = lru_cache(maxsize=None)(device.ledger.read)
    done: list[Round] = []
    lies: list[Lying] = []
    for some in rounds(candidates) if candidates else ():
        done.append(some)
        for same in some.pictures:
            lies += lying(found, _sent(same, read), originals, device, patient=some.patient)
        if lies:
            break
    return lies, _sent(tried(done), read)


def _sent(
    candidates: Sequence[Candidate], read: Callable[[MessageId], Message]
) -> tuple[Sent, ...]:
    pairs = ((read(one.message), one.place) for one in candidates)
    return tuple((message, message.pictures[place]) for message, place in pairs)


def _named_first(fits: list[Fit]) -> tuple[Fit, ...]:
    return tuple(sorted(fits, key=lambda fit: fit.verdict.finding is Finding.NOBODY))


def _trace(fits: tuple[Fit, ...], compared: int, untrusted_data: bytes, device: Device) -> Trace:
    others = [fit for fit in fits[1:] if fit.verdict.named]
    return Trace(
        number=next_number(device),
        at=device.clock.now(),
        leak_sha256=sha256(untrusted_data),
        verdict=fits[0].verdict if fits else Verdict(Finding.NOBODY, (), {}, {}),
        message=fits[0].message.name if fits else None,
        warp=fits[0].registration.warp if fits else None,
        compared=compared,
        others=tuple(Part(fit.message.name, fit.verdict, fit.registration.warp) for fit in others),
    )
