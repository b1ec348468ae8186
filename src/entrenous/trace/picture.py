"""Trace a picture: choose the sent pictures to try, in rounds, and collect the verdicts."""

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
from entrenous.fingerprint.nouns import PictureCandidate
from entrenous.trace.originals import OriginalsCache, compute_missing_picture_records
from entrenous.trace.outcome import (
    MessageVerdict,
    MissingFiles,
    build_trace,
    count_sent_clip_copies,
)
from entrenous.trace.picture_fit import (
    AlignedPicture,
    FoundPicture,
    PictureFit,
    SentPictureInMessage,
    align_with_originals,
    weigh_copies,
)
from entrenous.watermark.alignment.resample import warp_to_sent
from entrenous.watermark.verdict import Finding, NothingToWeigh, Trace

# If more sent pictures than this lack features, a trace computes none of the missing features,
# because that would take too long.
RECORDS_COMPUTED_IN_TRACE_MAX = 8


@dataclass(frozen=True, slots=True, eq=False)
class PictureTrace:
    """A trace and its evidence.

    ``fits`` are the sent pictures to which the found one was registered. Those of which a copy was
    named as the source come first, the others in the order in which they were tried; ``trace``
    describes the first. ``fits`` is empty if the picture is a frame of a clip, which ``trace`` then
    describes. ``compared`` is the number of copies that the chances are corrected for. ``tried`` is
    the number of sent pictures that were tried, and ``without_record`` the number of those of which
    the device has stored a fingerprint but no features.
    """

    trace: Trace
    found: Picture
    fits: tuple[PictureFit, ...]
    compared: int
    tried: int
    without_record: int


def trace_picture(
    untrusted_data: bytes,
    device: Device,
    found: Picture | None = None,
    originals: OriginalsCache | None = None,
) -> PictureTrace:
    """Trace a found picture and record the result, so that a case can be opened from it.

    Args:
        untrusted_data: the found file.
        device: the device whose copies are compared.
        found: the decoded picture, if the caller has it already.
        originals: a cache shared by several traces.

    Raises:
        NothingToWeigh: this device sent no picture and no clip.
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed.
    """
    with ThreadPoolExecutor(1) as executor:
        decoding = executor.submit(_read_found_picture, untrusted_data, device, found)
        unlearnt_pictures = (
            device.ledger.pictures_without_record()
        )  # this loads the features of all sent pictures
        leak = decoding.result()
        # this needs no vault, so it runs in another thread
        extracting = executor.submit(leak.features.features)
        candidates = _find_candidates(leak, unlearnt_pictures, device)
        extracting.result()
    picture = leak.picture
    lost, cache = MissingFiles(), originals or OriginalsCache(device.read_picture)
    aligned, attempted = _align_in_rounds(leak, candidates, cache, device, lost)
    without_record = sum(not one.learnt for one in candidates)
    of_pictures = sum(len(sent.copies) for _, sent in attempted)
    in_clips = count_sent_clip_copies(device)
    compared = of_pictures + in_clips
    weighed = (fit for one in aligned for fit in weigh_copies(one, compared))
    fits = tuple(sorted(weighed, key=lambda fit: fit.verdict.finding is Finding.NOBODY))
    named = any(fit.verdict.named for fit in fits)
    frame = None
    if in_clips and not named:
        from entrenous.trace.clip_frame import trace_frame  # noqa: PLC0415 - slow, and seldom needed

        frame = trace_frame(picture, untrusted_data, device, lost)
    if frame is not None and (frame.verdict.named or not fits):
        device.ledger.record_trace(frame)
        return PictureTrace(frame, picture, (), frame.compared, len(attempted), without_record)
    if not of_pictures and not in_clips and not lost.messages:
        raise NothingToWeigh
    verdicts = [
        MessageVerdict(fit.message.name, fit.verdict, fit.registration.warp) for fit in fits
    ]
    trace = build_trace(verdicts, untrusted_data, device, compared=compared, lost=lost)
    device.ledger.record_trace(trace)
    return PictureTrace(trace, picture, fits, compared, len(attempted), without_record)


def warp_onto_sent(found: Picture, fit: PictureFit) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Warp the found picture onto the sent one's grid.

    Returns: the pixels (H, W, 3) and a mask (H, W) of where the found picture covers the grid.
    """
    return warp_to_sent(np.asarray(found), fit.registration)


def _read_found_picture(
    untrusted_data: bytes, device: Device, found: Picture | None
) -> FoundPicture:
    return FoundPicture.of(device.read_picture(untrusted_data) if found is None else found)


def _find_candidates(
    leak: FoundPicture, unlearnt_pictures: Sequence[tuple[MessageId, int]], device: Device
) -> tuple[PictureCandidate, ...]:
    """Find sent pictures that resemble the leak.

    If the features of only a few sent pictures are missing, they are computed first.
    """
    if len(unlearnt_pictures) <= RECORDS_COMPUTED_IN_TRACE_MAX:
        compute_missing_picture_records(unlearnt_pictures, device)
    return device.ledger.pictures_to_compare(leak.picture)


def _align_in_rounds(
    found: FoundPicture,
    candidates: Sequence[PictureCandidate],
    originals: OriginalsCache,
    device: Device,
    lost: MissingFiles,
) -> tuple[list[AlignedPicture], tuple[SentPictureInMessage, ...]]:
    """Register the leak to candidates, round by round, without using any copy's key.

    Returns: the alignments, and every sent picture that was tried and could be read.
    """
    read = lru_cache(maxsize=None)(device.ledger.message)
    done: list[CandidateRound] = []
    aligned: list[AlignedPicture] = []
    for one_round in candidate_rounds(candidates) if candidates else ():
        done.append(one_round)
        for same in one_round.pictures:
            sent = _sent_pictures_of_candidates(same, read)
            aligned += align_with_originals(
                found, sent, originals, device, lost=lost, thorough=one_round.thorough
            )
        if aligned:
            break
    all_of_them = _sent_pictures_of_candidates(candidates_of_rounds(done), read)
    return aligned, tuple(one for one in all_of_them if one[1].original not in lost.files)


def _sent_pictures_of_candidates(
    candidates: Sequence[PictureCandidate], read: Callable[[MessageId], Message]
) -> tuple[SentPictureInMessage, ...]:
    pairs = ((read(one.message), one.place) for one in candidates)
    return tuple((message, message.pictures[place]) for message, place in pairs)


# distinct pictures; enough for a collage or several shots of one scene
LIKELY_PICTURES_MAX: Final = 8
QUICKLY_TRIED_PICTURES_MAX: Final = 5
THOROUGHLY_TRIED_PICTURES_MAX: Final = 2
# A likely picture has at least this share of the best one's matches, since a similar shot seldom
# has more matches than the picture itself.
_LIKELY_MATCHES_SHARE_MIN: Final = 0.5
# Or it has this many matches in a part of the leak where no likelier candidate has any, such as the
# next tile of a collage.
_MATCHES_IN_NEW_AREA_MIN: Final = 9
CandidatesOfOnePicture = tuple[PictureCandidate, ...]


@dataclass(frozen=True, slots=True)
class CandidateRound:
    """Pictures to try before the next check for a match, each with all messages it was sent in.

    If ``thorough``, slow methods are tried too.
    """

    pictures: tuple[CandidatesOfOnePicture, ...]
    thorough: bool = False


def candidate_rounds(candidates: Sequence[PictureCandidate]) -> Iterator[CandidateRound]:
    """Yield the pictures to try, round by round; the caller stops once a round has a match."""
    pictures = [tuple(same) for _, same in groupby(candidates, key=lambda one: one.look)]
    likely = _likely_pictures(pictures)
    if likely:
        yield CandidateRound(tuple(likely))
    learnt, without_record = [
        [p for p in pictures if p[0].learnt is kind] for kind in (True, False)
    ]
    rest = [
        one
        for one in (
            *learnt[:QUICKLY_TRIED_PICTURES_MAX],
            *without_record[:QUICKLY_TRIED_PICTURES_MAX],
        )
        if one not in likely
    ]
    if rest:
        yield CandidateRound(tuple(rest))
    yield CandidateRound(tuple([*likely, *rest][:THOROUGHLY_TRIED_PICTURES_MAX]), thorough=True)


def candidates_of_rounds(rounds_: Iterable[CandidateRound]) -> tuple[PictureCandidate, ...]:
    """List every candidate of these rounds once."""
    return tuple(dict.fromkeys(one for each in rounds_ for same in each.pictures for one in same))


def _likely_pictures(pictures: list[CandidatesOfOnePicture]) -> list[CandidatesOfOnePicture]:
    likely = [same for same in pictures if same[0].is_likely]
    most = max((same[0].agreeing for same in likely), default=0)
    strong = (
        same
        for same in likely
        if same[0].has_similar_hash
        or same[0].agreeing >= _LIKELY_MATCHES_SHARE_MIN * most
        or same[0].fresh >= _MATCHES_IN_NEW_AREA_MIN
    )
    return list(islice(strong, LIKELY_PICTURES_MAX))
