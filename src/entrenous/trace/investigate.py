"""Whose copy is this? The whole of tracing a picture, with everything that a report shows.

The found picture is laid over the sent ones that it resembles (rounds.py); only then are the keys
of their copies asked for. When no picture's copy is named, it may be a frame of a clip. Every copy
of every picture that was tried and of every clip counts in the bound on false accusation, whether
or not it fitted: so it does not matter that the clips are looked at after the pictures were heard
(docs/spec/clip.md, section 7).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.lay import lay_over
from entrenous.model.candidate import Candidate
from entrenous.model.ids import MessageId
from entrenous.model.message import Message
from entrenous.model.picture import Picture
from entrenous.model.verdict import Finding, NothingToWeigh, Trace
from entrenous.ports import Device
from entrenous.trace.answer import Said, answer
from entrenous.trace.frame import look_at_frame
from entrenous.trace.lost import Lost
from entrenous.trace.photo.fit import Fit, Found, Lying, Sent, lying, weighed
from entrenous.trace.photo.learn import learn
from entrenous.trace.photo.original import Originals
from entrenous.trace.photo.rounds import Round, rounds, tried
from entrenous.trace.reel.sought import of_clips

LEARNT_AT_ONCE = 8  # pictures whose look is missing; more would keep a person waiting


@dataclass(frozen=True, slots=True, eq=False)
class Investigation:
    """A trace, and what it rests on.

    ``fits`` are the sent pictures that the found one lies on: those of which a copy is named
    first, then as they were tried; there are none when ``trace`` speaks of the clip that a frame
    was found of, else it speaks of the first. ``compared`` is the number of
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
    lost, kept = Lost(), originals or Originals(device.read_picture)
    lies, laid = _laid(leak, candidates, kept, device, lost)
    unlearnt = sum(not one.learnt for one in candidates)
    of_pictures, in_clips = sum(len(picture.copies) for _, picture in laid), of_clips(device)
    compared = of_pictures + in_clips
    fits = _named_first([fit for one in lies for fit in weighed(one, compared)])
    named = any(fit.verdict.named for fit in fits)
    frame = None if named or not in_clips else look_at_frame(seen, untrusted_data, device, lost)
    if frame is not None and (frame.verdict.named or not fits):
        device.ledger.note(frame)
        return Investigation(frame, seen, (), frame.compared, len(laid), unlearnt)
    if not of_pictures and not lost.messages:
        raise NothingToWeigh
    said = [Said(fit.message.name, fit.verdict, fit.registration.warp) for fit in fits]
    trace = answer(said, untrusted_data, device, compared=compared, lost=lost)
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
    found: Found,
    candidates: Sequence[Candidate],
    originals: Originals,
    device: Device,
    lost: Lost,
) -> tuple[list[Lying], tuple[Sent, ...]]:
    """Where it lies, and every sent picture that it was laid over; no key is known here."""
    read = lru_cache(maxsize=None)(device.ledger.read)
    done: list[Round] = []
    lies: list[Lying] = []
    for some in rounds(candidates) if candidates else ():
        done.append(some)
        for same in some.pictures:
            sent = _sent(same, read)
            lies += lying(found, sent, originals, device, lost=lost, patient=some.patient)
        if lies:
            break
    all_of_them = _sent(tried(done), read)
    return lies, tuple(one for one in all_of_them if one[1].original not in lost.files)


def _sent(
    candidates: Sequence[Candidate], read: Callable[[MessageId], Message]
) -> tuple[Sent, ...]:
    pairs = ((read(one.message), one.place) for one in candidates)
    return tuple((message, message.pictures[place]) for message, place in pairs)


def _named_first(fits: list[Fit]) -> tuple[Fit, ...]:
    return tuple(sorted(fits, key=lambda fit: fit.verdict.finding is Finding.NOBODY))
