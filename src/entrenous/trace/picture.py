"""Trace a picture: which sent pictures are tried, in which order, and what is found."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.identifiers import MessageId
from entrenous.base.picture import Picture
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message
from entrenous.fingerprint.nouns import Candidate
from entrenous.trace.clip_candidates import of_clips
from entrenous.trace.clip_frame import look_at_frame
from entrenous.trace.originals import Originals, learn
from entrenous.trace.outcome import MessageVerdict, MissingFiles, answer
from entrenous.trace.picture_fit import AlignedPicture, Fit, Found, Sent, lying, weighed
from entrenous.watermark.alignment.resample import warp_to_sent
from entrenous.watermark.verdict import Finding, NothingToWeigh, Trace

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
    lost, kept = MissingFiles(), originals or Originals(device.read_picture)
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
    said = [MessageVerdict(fit.message.name, fit.verdict, fit.registration.warp) for fit in fits]
    trace = answer(said, untrusted_data, device, compared=compared, lost=lost)
    device.ledger.note(trace)
    return Investigation(trace, seen, fits, compared, len(laid), unlearnt)


def laid_on(found: Picture, fit: Fit) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The found picture on the sent one's grid, (H, W, 3), and where it covers it, (H, W)."""
    return warp_to_sent(np.asarray(found), fit.registration)


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
    lost: MissingFiles,
) -> tuple[list[AlignedPicture], tuple[Sent, ...]]:
    """Where it lies, and every sent picture that it was laid over; no key is known here."""
    read = lru_cache(maxsize=None)(device.ledger.read)
    done: list[Round] = []
    lies: list[AlignedPicture] = []
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


def trace_picture(
    untrusted_data: bytes, device: Device, originals: Originals | None = None
) -> Trace:
    """Say which copy a found picture is, and keep the answer so that a case can be opened from it.

    Raises:
        NothingToWeigh: there is no copy on this device to compare with.
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp.
    """
    return investigate(untrusted_data, device, originals=originals).trace


LIKELY_MAX: Final = 8  # distinct pictures; a collage, or shots of one scene
FIRST: Final = 5
PATIENT: Final = 2
_TWIN: Final = 0.5  # of the first one's points: the picture itself is seldom beaten by its twin
_FRESH: Final = 9  # points in a part that no likelier picture explains: the next tile of a collage
Same = tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """Pictures to try before it is asked whether one fitted; each with all messages it is in."""

    pictures: tuple[Same, ...]
    patient: bool = False


def rounds(candidates: Sequence[Candidate]) -> Iterator[Round]:
    """What to try, round by round; the caller stops when a round has found a fit."""
    pictures = [tuple(same) for _, same in groupby(candidates, key=lambda one: one.look)]
    likely = _likely(pictures)
    if likely:
        yield Round(tuple(likely))
    learnt, strange = [[p for p in pictures if p[0].learnt is kind] for kind in (True, False)]
    rest = [one for one in (*learnt[:FIRST], *strange[:FIRST]) if one not in likely]
    if rest:
        yield Round(tuple(rest))
    yield Round(tuple([*likely, *rest][:PATIENT]), patient=True)


def tried(rounds_: Iterable[Round]) -> tuple[Candidate, ...]:
    """Every picture of every message in these rounds, each once."""
    return tuple(dict.fromkeys(one for some in rounds_ for same in some.pictures for one in same))


def _likely(pictures: list[Same]) -> list[Same]:
    likely = [same for same in pictures if same[0].likely]
    most = max((same[0].agreeing for same in likely), default=0)
    standing = (
        same
        for same in likely
        if same[0].same_print or same[0].agreeing >= _TWIN * most or same[0].fresh >= _FRESH
    )
    return list(islice(standing, LIKELY_MAX))
