"""The slow look at an upload, after its uploader has got an answer (docs/spec/gate.md section 3).

Thousands of windows: of an upload that contains a registered picture (a screenshot, a collage, a
caption), of one that is a part of it, of one that was written over or turned by a few degrees.
Whatever is found so is at most held for a person, never refused by a machine. What is tried, and
what it is worth: docs/decisions/0029-more-by-the-whole-hash-alone.md.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from entrenous.craft.fingerprint.border import insides
from entrenous.craft.fingerprint.deep.boxes import SIDE_PX_MIN, boxes, usual_boxes
from entrenous.craft.fingerprint.deep.cuts import FAR, same, trimmed, wider
from entrenous.craft.fingerprint.deep.spectra import box_spectra
from entrenous.craft.fingerprint.deep.turns import SLIGHT, turned_back
from entrenous.craft.fingerprint.deep.writing import without_writing
from entrenous.craft.fingerprint.orientation import TURNS, UPRIGHT, turn
from entrenous.craft.fingerprint.picture import seen_pixels, to_bits
from entrenous.craft.fingerprint.spectrum import Floats
from entrenous.craft.fingerprint.thumbnail import thumbnail
from entrenous.model.bank import RELEASED
from entrenous.model.picture import Picture
from entrenous.ports import Platform
from entrenous.spec import PART_QUALITY_MIN, PDQ_QUALITY_MIN
from entrenous.stop.alike import alike_found
from entrenous.stop.gate import find_at
from entrenous.stop.look import PART, UNBORDERED, Seen, one_by_one, said
from entrenous.stop.weigh import INSIDE, Hit, best_of_each

EDGES: Final = "edges cut off"
COVERED: Final = "partly covered"
ASKEW: Final = "turned a little"
WRITTEN_OVER: Final = "written over"
MIRROR: Final = "mirror"
LIKELIEST: Final = 3  # boxes in which cut-outs are looked for too
_INSETS: Final = np.array([[0.0, 0, 0, 0], [1, -1, 1, -1]])  # the outermost pixels mix with a page
_EVERY: Final = None
_UPRIGHT: Final = (UPRIGHT, MIRROR)  # where all eight would cost more than they find
_OTHERS: Final = tuple(how for how in TURNS if how not in _UPRIGHT)


@dataclass(frozen=True, slots=True)
class DeepViews:
    """Some views of an upload, to look up together; ``part`` tells which registered hashes."""

    views: Seen
    part: bool


def deep_matches(picture: Picture, platform: Platform) -> list[Hit]:
    """Every claim that the slow look finds, nearest first; each only calls for holding.

    Raises:
        BankUnreachable: as :func:`.gate.find`.
    """
    return best_of_each(hit for _, hit in deep_found(picture, platform))


def deep_found(picture: Picture, platform: Platform) -> list[tuple[int, Hit]]:
    """All of its hits, each with the number of the registered hash.

    What a reviewer let through is told by the whole upload alone (:func:`.look.fast_views`): in a
    collage, one tile that was let through says nothing about the next one.
    """
    found = [
        (entry, (replace(match, part=True), claim))
        for some in deep_views(picture, lambda: platform.index.parts() > 0)
        for entry, (match, claim) in find_at(some.views, platform, part=some.part)
        if claim.bank != RELEASED
    ]
    if platform.likeness is None:
        return found
    return found + alike_found(picture, platform.likeness, platform.bank)


def deep_views(
    picture: Picture, has_parts: Callable[[], bool] = lambda: True
) -> Iterator[DeepViews]:
    """All slow views: about 6,000 of whole pictures, then some 13,000 of parts. These are made only
    if ``has_parts`` says that there are any to compare them with; it is asked once the others were
    looked up, by which an index learns what is new.
    """
    grey = thumbnail(seen_pixels(picture))
    if min(grey.shape) < SIDE_PX_MIN:
        return
    found = boxes(grey)
    inside = [*found, *usual_boxes(grey)]
    yield _views([(INSIDE, _in_boxes(grey, inside))], part=False)
    frames = [("", grey)]
    frames += [(UNBORDERED, grey[a:b, c:d]) for a, b, c, d in insides(grey)]
    for place, (how, frame) in enumerate(frames):
        edges, is_far = said(UPRIGHT, how, EDGES), place in (0, len(frames) - 1)
        written = [(said(UPRIGHT, how, WRITTEN_OVER), without_writing(frame, PDQ_QUALITY_MIN))]
        yield _views(written, part=False)
        # The far ones are among them in the two orientations in which they are looked for.
        yield _views([(edges, wider(frame))], part=False, turns=_OTHERS if is_far else _EVERY)
        if is_far:
            yield _views([(edges, wider(frame, FAR))], part=False, turns=_UPRIGHT)
    slight = np.concatenate([wider(one) for one in turned_back(frames[-1][1], SLIGHT)])
    yield _views([(said(UPRIGHT, ASKEW), slight)], part=False, turns=_UPRIGHT)
    if not has_parts():
        return
    for how, frame in frames:
        yield _views([(said(UPRIGHT, how, PART), trimmed(frame))], part=True)
        yield _views([(said(UPRIGHT, how, COVERED), same(frame))], part=True, turns=_UPRIGHT)
    for a, b, c, d in found[:LIKELIEST]:
        inner = [(said(UPRIGHT, INSIDE, PART), trimmed(grey[a:b, c:d]))]
        inner += [(said(UPRIGHT, INSIDE, COVERED), same(grey[a:b, c:d]))]
        yield _views(inner, part=True, turns=_UPRIGHT)
    askew = trimmed(turned_back(frames[-1][1]))
    yield _views([(said(UPRIGHT, ASKEW, PART), askew)], part=True, turns=_UPRIGHT)


def _in_boxes(grey: Floats, found: list[tuple[int, int, int, int]]) -> Floats:
    both = np.array(found, dtype=np.float64).reshape(-1, 1, 4) + _INSETS
    return box_spectra(grey, both.reshape(-1, 4), PART_QUALITY_MIN)


def _views(
    spectra: Iterable[tuple[str, Floats]], *, part: bool, turns: tuple[str, ...] | None = _EVERY
) -> DeepViews:
    seen = [
        view
        for done, some in spectra
        for how, spectrum in turn(some).items()
        if turns is None or how in turns
        for view in one_by_one(said(how, done), to_bits(spectrum))
    ]
    return DeepViews(tuple(seen), part)
