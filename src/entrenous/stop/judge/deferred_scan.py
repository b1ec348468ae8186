"""The deferred scan of an upload, after its uploader has an answer (gate.md, 3, 5.4).

It looks for registered pictures inside the upload, for parts and edits of them, and compares
embeddings if the platform has a network for them (3.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import acos, pi
from typing import TYPE_CHECKING, Final

import numpy as np

from entrenous.base.limits import PDQ_QUALITY_MIN, UPLOAD_PART_QUALITY_MIN
from entrenous.base.picture import Picture
from entrenous.fingerprint.borders import boxes_inside_frames, luma_thumbnail
from entrenous.fingerprint.crops import (
    FAR_ENLARGEMENT_COUNT,
    SLIGHT_ANGLES_DEG,
    detailed_box_spectra,
    enlarged_spectra,
    registered_window_spectra,
    rotations,
    trimmed_spectra,
)
from entrenous.fingerprint.embedding import flat_step_share, resize_to_square, window_squares
from entrenous.fingerprint.nouns import Match, NearEmbedding
from entrenous.fingerprint.overlaid_text import spectra_without_text
from entrenous.fingerprint.pdq import (
    ORIENTATION_NAMES,
    UNCHANGED_ORIENTATION_NAME,
    Floats,
    hash_spectra,
    orientation_spectra,
    pixels_on_white,
)
from entrenous.fingerprint.screenshots import (
    BOX_SIDE_PX_MIN,
    find_picture_boxes,
    usual_layout_boxes,
)
from entrenous.stop.judge.decide import find_numbered_hits, releases_of_file
from entrenous.stop.judge.look_back import LEASE_DURATION, clock_days_ahead
from entrenous.stop.judge.scan import (
    BORDER_REMOVED_EDIT,
    CUT_OUT_EDIT,
    HashViews,
    describe_edits,
    hash_whole_picture,
    split_hashes,
)
from entrenous.stop.judge.weigh import (
    IN_LARGER_PICTURE_EDIT,
    Hit,
    best_hit_of_each_claim,
    decision_of,
    matches_to_review,
)
from entrenous.stop.nouns import RELEASED_BANK
from entrenous.stop.platform import EmbeddingComparison, Platform
from entrenous.stop.registration import Claim
from entrenous.stop.upload_record import FoundBy, Outcome, RetroactiveMatches, UploadForDeferredScan

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore

EDGES_CUT_OFF_EDIT: Final = "edges cut off"
PARTLY_COVERED_EDIT: Final = "partly covered"
SLIGHTLY_TURNED_EDIT: Final = "turned a little"
OVERLAID_TEXT_EDIT: Final = "written over"
MIRRORED_ORIENTATION_NAME: Final = "mirror"
# Inside this many of the likeliest boxes, cut-out and partly covered pictures are looked for too.
SEARCHED_BOXES_MAX: Final = 3
# Also try boxes one pixel smaller, since the outermost pixels blend with the page.
_BOX_INSETS_PX: Final = np.array([[0.0, 0, 0, 0], [1, -1, 1, -1]])
# Used where searching all eight orientations would find too little for the time it takes.
_UPRIGHT_ORIENTATIONS: Final = (UNCHANGED_ORIENTATION_NAME, MIRRORED_ORIENTATION_NAME)
_ORIENTATIONS_NOT_UPRIGHT: Final = tuple(
    how for how in ORIENTATION_NAMES if how not in _UPRIGHT_ORIENTATIONS
)


@dataclass(frozen=True, slots=True)
class DeferredViews:
    """Hashes of edited versions (views) of an upload.

    They are looked up together: among the hashes of parts if ``part`` is set, else among those of
    whole pictures.
    """

    views: HashViews
    part: bool


def best_deferred_hits(picture: Picture, platform: Platform) -> list[Hit]:
    """Return the claims that the deferred scan finds, nearest first. None of them can do more than
    have the upload held.

    Raises:
        BankUnreachable: the store does not answer.
    """
    return best_hit_of_each_claim(hit for _, hit in find_deferred_hits(picture, platform))


def find_deferred_hits(picture: Picture, platform: Platform) -> list[tuple[int, Hit]]:
    """Return all hits of the deferred scan, each with the number of the registered hash.

    Releases are ignored here: they apply to an upload as a whole, and callers get them from the
    hashes of the whole upload and from the file's hash. A released tile of a collage says nothing
    about the other tiles.
    """
    found = [
        (entry, (replace(match, part=True), claim))
        for some in views_for_deferred_scan(picture, lambda: platform.index.part_hash_count() > 0)
        for entry, (match, claim) in find_numbered_hits(some.views, platform, part=some.part)
        if claim.bank != RELEASED_BANK
    ]
    if platform.embedding_comparison is None:
        return found
    return found + find_lookalike_hits(picture, platform.embedding_comparison, platform.bank)


def views_for_deferred_scan(
    picture: Picture, has_parts: Callable[[], bool] = lambda: True
) -> Iterator[DeferredViews]:
    """Yield all views of the deferred scan: about 6,000 of whole pictures, then about 13,000 of
    parts.

    Views of parts are made only if ``has_parts`` says that there are hashes to compare with.
    ``has_parts`` is called after the views of whole pictures have been looked up, because looking
    them up updates the index.
    """
    grey = luma_thumbnail(pixels_on_white(picture))
    if min(grey.shape) < BOX_SIDE_PX_MIN:
        return
    found = find_picture_boxes(grey)
    inside = [*found, *usual_layout_boxes(grey)]
    yield _make_views([(IN_LARGER_PICTURE_EDIT, _spectra_in_boxes(grey, inside))], part=False)
    frames = [("", grey)]
    frames += [(BORDER_REMOVED_EDIT, grey[a:b, c:d]) for a, b, c, d in boxes_inside_frames(grey)]
    for place, (how, frame) in enumerate(frames):
        edges, is_far = (
            describe_edits(UNCHANGED_ORIENTATION_NAME, how, EDGES_CUT_OFF_EDIT),
            place in (0, len(frames) - 1),
        )
        written = [
            (
                describe_edits(UNCHANGED_ORIENTATION_NAME, how, OVERLAID_TEXT_EDIT),
                spectra_without_text(frame, PDQ_QUALITY_MIN),
            )
        ]
        yield _make_views(written, part=False)
        # For the outermost and the innermost picture (with all borders, and without any), the wider
        # search below includes these enlargements in _UPRIGHT_ORIENTATIONS. So this block makes
        # them only in the other orientations.
        yield _make_views(
            [(edges, enlarged_spectra(frame))],
            part=False,
            turns=_ORIENTATIONS_NOT_UPRIGHT if is_far else None,
        )
        if is_far:
            yield _make_views(
                [(edges, enlarged_spectra(frame, FAR_ENLARGEMENT_COUNT))],
                part=False,
                turns=_UPRIGHT_ORIENTATIONS,
            )
    slight = np.concatenate(
        [enlarged_spectra(one) for one in rotations(frames[-1][1], SLIGHT_ANGLES_DEG)]
    )
    yield _make_views(
        [(describe_edits(UNCHANGED_ORIENTATION_NAME, SLIGHTLY_TURNED_EDIT), slight)],
        part=False,
        turns=_UPRIGHT_ORIENTATIONS,
    )
    if not has_parts():
        return
    for how, frame in frames:
        yield _make_views(
            [
                (
                    describe_edits(UNCHANGED_ORIENTATION_NAME, how, CUT_OUT_EDIT),
                    trimmed_spectra(frame),
                )
            ],
            part=True,
        )
        yield _make_views(
            [
                (
                    describe_edits(UNCHANGED_ORIENTATION_NAME, how, PARTLY_COVERED_EDIT),
                    registered_window_spectra(frame),
                )
            ],
            part=True,
            turns=_UPRIGHT_ORIENTATIONS,
        )
    for a, b, c, d in found[:SEARCHED_BOXES_MAX]:
        inner = [
            (
                describe_edits(UNCHANGED_ORIENTATION_NAME, IN_LARGER_PICTURE_EDIT, CUT_OUT_EDIT),
                trimmed_spectra(grey[a:b, c:d]),
            )
        ]
        inner += [
            (
                describe_edits(
                    UNCHANGED_ORIENTATION_NAME, IN_LARGER_PICTURE_EDIT, PARTLY_COVERED_EDIT
                ),
                registered_window_spectra(grey[a:b, c:d]),
            )
        ]
        yield _make_views(inner, part=True, turns=_UPRIGHT_ORIENTATIONS)
    askew = trimmed_spectra(rotations(frames[-1][1]))
    yield _make_views(
        [(describe_edits(UNCHANGED_ORIENTATION_NAME, SLIGHTLY_TURNED_EDIT, CUT_OUT_EDIT), askew)],
        part=True,
        turns=_UPRIGHT_ORIENTATIONS,
    )


def _spectra_in_boxes(grey: Floats, found: list[tuple[int, int, int, int]]) -> Floats:
    both = np.array(found, dtype=np.float64).reshape(-1, 1, 4) + _BOX_INSETS_PX
    return detailed_box_spectra(grey, both.reshape(-1, 4), UPLOAD_PART_QUALITY_MIN)


def _make_views(
    spectra: Iterable[tuple[str, Floats]], *, part: bool, turns: tuple[str, ...] | None = None
) -> DeferredViews:
    seen = [
        view
        for done, some in spectra
        for how, spectrum in orientation_spectra(some).items()
        if turns is None or how in turns
        for view in split_hashes(describe_edits(how, done), hash_spectra(spectrum))
    ]
    return DeferredViews(tuple(seen), part)


EMBEDDING_MATCH_EDIT: Final = "looks alike"
WHOLE_COSINE_MIN: Final = 0.5
WINDOW_COSINE_MIN: Final = 0.6
# Flat drawings look alike to a network that was trained on photographs. A square counts as flat if
# the share of flat steps between its neighbouring blocks is above this limit. The limit was chosen
# on the pairs of gate.md section 9: whole photographs are below it; pieces of plain sky are above
# it, and so are pieces of two drawings that were confused with each other.
PHOTO_FLAT_STEP_SHARE_MAX: Final = 0.85
FLAT_COSINE_MIN: Final = 0.7
# Angles are counted in 256ths of a half turn. Opposite vectors are half a turn apart, and would be
# separated by all of 256 random hyperplanes (Charikar 2002).
_HALF_TURN_UNITS: Final = 256


def find_lookalike_hits(
    picture: Picture, embedding_comparison: EmbeddingComparison, bank: BankStore
) -> list[tuple[int, Hit]]:
    """Return hits by embedding, each with the number of the registered hash.

    Such a hit can do no more than have the upload held.

    The network is run only if the bank has embeddings.

    Raises:
        BankUnreachable: the store does not answer.
    """
    if bank.embedding_count() == 0:
        return []
    near = _near_embeddings(picture, embedding_comparison)
    claims = {
        (entry, claim.id): claim
        for entry, claim in bank.claims_on_pictures({n.entry for n in near})
    }
    with_claims = ((one, claims.get((one.entry, one.claim))) for one in near)
    return [
        (one.entry, (_embedding_match(one, claim), claim))
        for one, claim in with_claims
        if claim is not None and claim.bank != RELEASED_BANK
    ]


def cosine_to_angle_units(cosine: float) -> int:
    """Return the angle in 256ths of a half turn: 0 for equal vectors, 128 for unrelated ones."""
    return round(_HALF_TURN_UNITS * acos(min(1.0, max(-1.0, cosine))) / pi)


def cosine_thresholds_of_squares(squares: Sequence[bytes]) -> tuple[float, ...]:
    """Return the least cosine that counts for each square of an upload.

    The first square is the whole upload. A square that consists mostly of flat areas (such as plain
    sky, or a drawing) has to be more similar.
    """
    usual = (WHOLE_COSINE_MIN, *(WINDOW_COSINE_MIN for _ in squares[1:]))
    return tuple(
        FLAT_COSINE_MIN if flat_step_share(one) > PHOTO_FLAT_STEP_SHARE_MAX else least
        for one, least in zip(squares, usual, strict=True)
    )


def _near_embeddings(
    picture: Picture, embedding_comparison: EmbeddingComparison
) -> list[NearEmbedding]:
    pixels = pixels_on_white(picture)
    squares = (resize_to_square(pixels), *window_squares(pixels))
    seen = embedding_comparison.embedder.embed(squares)
    found = embedding_comparison.index.find_similar(seen, cosine_thresholds_of_squares(squares))
    return sorted(found, key=lambda one: -one.cosine)


def _embedding_match(near: NearEmbedding, claim: Claim) -> Match:
    return Match(
        claim.bank, claim.id, cosine_to_angle_units(near.cosine), EMBEDDING_MATCH_EDIT, part=True
    )


#: The bytes of an upload are written to the database at most this long after its row, unless the
#: gate crashes in between.
BYTES_ARRIVAL_TIME_MAX: Final = timedelta(minutes=1)


def run_next_deferred_scan(platform: Platform) -> bool:
    """Make the deferred scan of the oldest upload for which one is due.

    Return False if none is due.

    Raises:
        PictureDecodingFailed, BankUnreachable: the scan was not made, and is due again when its
            lease ends, after two minutes.
    """
    upload = platform.reviews.lease_deferred_scan(LEASE_DURATION)
    if upload is None:
        return False
    retroactive_matches = _find_matches_to_review(
        upload, platform.read_picture(upload.untrusted_upload), platform
    )
    if retroactive_matches is None or not platform.reviews.hold_retroactively(
        retroactive_matches, platform.limits.held_per_hash
    ):
        platform.reviews.finish_deferred_scan(upload.case)
    return True


def skip_overdue_deferred_scans(platform: Platform) -> int:
    """Give up deferred scans that cannot be made, and return how many.

    There was no room for the bytes of these uploads, or scanning them crashed the process, or
    nothing scanned them for a day.

    Returns 0 while the clock is implausible.
    """
    if clock_days_ahead(platform):
        return 0
    return platform.reviews.skip_overdue_deferred_scans(
        platform.clock.now() - BYTES_ARRIVAL_TIME_MAX
    )


def _find_matches_to_review(
    upload: UploadForDeferredScan, picture: Picture, platform: Platform
) -> RetroactiveMatches | None:
    """Return the matches that a person should review, or None.

    These matches are weighed together with those of the whole upload, which show whether a release
    applies.
    """
    seen = hash_whole_picture(picture)
    found = [
        *find_numbered_hits(seen.whole, platform, part=False),
        *find_deferred_hits(picture, platform),
    ]
    banks = {bank.name: bank for bank in platform.bank.banks()}
    hits = [hit for _, hit in found]
    sha256 = hashlib.sha256(upload.untrusted_upload).digest()
    released = releases_of_file(sha256, platform)
    if decision_of(hits, banks, released).outcome is Outcome.LET_THROUGH:
        return None
    shown = matches_to_review(found, banks)
    if shown is None:
        return None
    return RetroactiveMatches(upload.case, *shown, FoundBy.SLOW_LOOK, seen.bits, sha256)
