"""The scans of an upload that finish before its uploader gets an answer.

The first scan compares whole pictures, the second one parts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from struct import iter_unpack

from entrenous.base.limits import (
    PART_COMPARISON_SIDE_PX_MIN,
    PDQ_BYTES,
    UPLOAD_PART_QUALITY_MIN,
    WHOLE_COMPARISON_SIDE_PX_MIN,
)
from entrenous.base.picture import OriginalSize, Picture, PictureDecodingFailed
from entrenous.fingerprint.borders import luma_thumbnail, pictures_inside_frames
from entrenous.fingerprint.crops import trimmed_spectra
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.fingerprint.pdq import (
    UNCHANGED_ORIENTATION_NAME,
    Floats,
    Pixels,
    hash_spectra,
    inverted_hash,
    orientation_fingerprints_of_pixels,
    orientation_spectra,
    pixels_or_luma,
)
from entrenous.media.png_animation import has_separate_default_image
from entrenous.stop.platform import Platform

BORDER_REMOVED_EDIT = "border removed"
COLOURS_INVERTED_EDIT = "colours inverted"
CUT_OUT_EDIT = "cut-out"
_HASH_COUNT_WITHOUT_BORDER = 16
OrientedFingerprints = Mapping[str, Fingerprint]
HashViews = tuple[tuple[str, bytes], ...]
"""Hashes of views of an upload, each with the edits that were made to get that view."""


@dataclass(frozen=True, slots=True)
class FirstScanHashes:
    """An upload's hashes, each with its edits; ``bits`` and ``quality`` belong to the unedited
    upload.
    """

    bits: bytes
    whole: HashViews
    quality: int

    @property
    def has_border(self) -> bool:
        """Return whether the upload has a border, and was therefore also hashed without it."""
        return len(self.whole) > _HASH_COUNT_WITHOUT_BORDER

    @property
    def is_flat(self) -> bool:
        """Return whether the upload has so little detail that its windows would match other
        pictures.
        """
        return self.quality < UPLOAD_PART_QUALITY_MIN


def hash_parts(picture: Picture, first_views: FirstScanHashes) -> HashViews:
    """Return the hashes of the second scan: windows of the picture, with and without each border.

    A flat upload has none. ``first_views`` is the result of :func:`hash_whole_picture`.
    """
    if first_views.is_flat:
        return ()
    pixels = pixels_or_luma(picture)
    grey = luma_thumbnail(pixels)
    inside = pictures_inside_frames(pixels, grey) if first_views.has_border else ()
    frames = ((grey, ""), *((luma_thumbnail(inner), BORDER_REMOVED_EDIT) for inner in inside))
    return tuple(chain.from_iterable(_part_hashes(frame, how) for frame, how in frames))


def hash_whole_picture(picture: Picture) -> FirstScanHashes:
    """Return the hashes of the first scan: 16, and 16 more for each of at most three borders."""
    pixels, by = pixels_or_luma(picture), picture.shrunk_by
    turned = orientation_fingerprints_of_pixels(pixels, picture.original_size, by)
    return _hash_orientations_and_borders(turned, pictures_inside_frames(pixels), by)


@lru_cache(maxsize=256)  # there are fewer combinations
def describe_edits(turn: str, *more: str) -> str:
    """Join edits, e.g. "mirror, border removed"; "as it is" if there are none."""
    done = [turn] if turn != UNCHANGED_ORIENTATION_NAME else []
    done += [one for one in more if one]
    return ", ".join(done) or UNCHANGED_ORIENTATION_NAME


def split_hashes(how: str, hashes: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each of the concatenated hashes, with the same description."""
    return zip(repeat(how), (one for (one,) in iter_unpack(f"{PDQ_BYTES}s", hashes)), strict=False)


def _hash_orientations_and_borders(
    turned: OrientedFingerprints, inside: tuple[Pixels, ...], shrunk_by: int
) -> FirstScanHashes:
    whole = [*_whole_hashes(turned, "")]
    for inner in inside:
        high, wide = (shrunk_by * side for side in inner.shape[:2])
        full = OriginalSize(wide, high)
        whole += _whole_hashes(
            orientation_fingerprints_of_pixels(inner, full, shrunk_by), BORDER_REMOVED_EDIT
        )
    return FirstScanHashes(whole[0][1], tuple(whole), turned[UNCHANGED_ORIENTATION_NAME].quality)


def _whole_hashes(turned: OrientedFingerprints, frame: str) -> Iterator[tuple[str, bytes]]:
    for how, view in turned.items():
        yield describe_edits(how, frame), view.bits
        yield describe_edits(how, frame, COLOURS_INVERTED_EDIT), inverted_hash(view.bits)


def _part_hashes(grey: Floats, frame: str) -> Iterator[tuple[str, bytes]]:
    turned = orientation_spectra(trimmed_spectra(grey)).items()
    return chain.from_iterable(
        split_hashes(describe_edits(how, frame, CUT_OUT_EDIT), hash_spectra(spectrum))
        for how, spectrum in turned
    )


def decode_for_hashing(untrusted_data: bytes, at_least_px: int, platform: Platform) -> Picture:
    """Decode a picture for hashing only. Raises what ``platform.read_picture`` raises."""
    if platform.read_luma is None:
        return platform.read_picture(untrusted_data)
    return platform.read_luma(untrusted_data, at_least_px=at_least_px)


def first_scan(untrusted_data: bytes, platform: Platform) -> tuple[Picture, FirstScanHashes]:
    """Decode an upload and make its first scan.

    Raises:
        PictureDecodingFailed: the file is a PNG of which viewers may show different pictures. A
            decision about one of them would also be made about the other, so neither is hashed.
        Whatever :func:`decode_for_hashing` raises.
    """
    if has_separate_default_image(untrusted_data):
        raise PictureDecodingFailed
    side_px = (
        PART_COMPARISON_SIDE_PX_MIN if _scans_for_parts(platform) else WHOLE_COMPARISON_SIDE_PX_MIN
    )
    return scan_whole_picture(
        lambda at_least_px: decode_for_hashing(untrusted_data, at_least_px, platform), side_px
    )


def scan_whole_picture(
    read: Callable[[int], Picture], side_px: int
) -> tuple[Picture, FirstScanHashes]:
    """Make the first scan of a picture that ``read`` decodes with at least ``side_px`` on a side.

    A picture with a border is decoded again at a larger size.
    """
    picture = read(side_px)
    seen = hash_whole_picture(picture)
    if not seen.has_border or _has_enough_pixels_for_parts(picture):
        return picture, seen
    picture = read(PART_COMPARISON_SIDE_PX_MIN)
    return picture, hash_whole_picture(picture)


def second_scan(
    untrusted_data: bytes, picture: Picture, first_views: FirstScanHashes, platform: Platform
) -> HashViews:
    """Return the hashes to look up among the bank's hashes of parts before the upload is answered.

    There are none if the bank has no hashes of parts, or if the deferred scan is turned on and the
    bank has so many of them that a look-up is slow. The matches of the first scan have no
    influence, so timing does not reveal them.

    Raises what :func:`decode_for_hashing` raises.
    """
    if not _scans_for_parts(platform):
        return ()
    if not _has_enough_pixels_for_parts(picture):
        picture = decode_for_hashing(untrusted_data, PART_COMPARISON_SIDE_PX_MIN, platform)
    return hash_parts(picture, first_views)


def _scans_for_parts(platform: Platform) -> bool:
    count, limits = platform.index.part_hash_count(), platform.limits
    return count > 0 and (count <= limits.second_look_hashes or limits.slow_looks == 0)


def _has_enough_pixels_for_parts(picture: Picture) -> bool:
    """Return whether the picture was decoded with enough pixels to compare its parts."""
    return (
        picture.shrunk_by == 1
        or min(picture.width_px, picture.height_px) >= PART_COMPARISON_SIDE_PX_MIN
    )
