"""Tests of the picture detector: scores of the true copy and of other copies, and forecasts.

The code that runs before the scores are computed takes no key.
"""

import importlib
import inspect
import io
import math
import pkgutil
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import entrenous.watermark
import entrenous.watermark.alignment
from entrenous.base.identifiers import RecipientId
from entrenous.watermark.alignment.image_registration import register
from entrenous.watermark.alignment.resample import warp_to_found, warp_to_sent
from entrenous.watermark.chip_layout import chips_of_stream
from entrenous.watermark.detector import ChipEvidence, copy_scores
from entrenous.watermark.embed import PreparedPicture, embed_mark, enlarge_mark
from entrenous.watermark.jpeg_evidence import (
    coefficient_evidence_per_pixel,
    luma_quantisation_table_for,
)
from entrenous.watermark.likelihood import upper_tail
from entrenous.watermark.pyramid import Plane
from entrenous.watermark.verdict import Finding, name_by_scores
from tests.watermark.detect import detect_mark

pytestmark = pytest.mark.slow

Pixels = NDArray[np.uint8]
Leak = tuple[Pixels, tuple[int, ...] | None]  # the pixels, and the luma table of a JPEG or None

NAMING_SCORE = 6.2  # about the lowest score that names one of 1,000 copies


def encode_jpeg(pixels: Pixels, quality: int) -> Leak:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")), tuple(picture.quantization[0])


def resize(pixels: Pixels, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    size = round(width * factor), round(height * factor)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def crop(pixels: Pixels, share: float) -> Pixels:
    height, width = pixels.shape[:2]
    rows, columns = int(height * share**0.5), int(width * share**0.5)
    top, left = int((height - rows) * 0.6), int((width - columns) * 0.4)
    return pixels[top : top + rows, left : left + columns]


def demo_leak(copy: Pixels) -> Leak:
    return encode_jpeg(resize(crop(copy, 0.7), 0.8), 50)


def make_screenshot(pixels: Pixels) -> Pixels:
    """Return a dark screen with the picture, scaled to 90 %, and a clock above the picture."""
    small = resize(pixels, 0.9)
    screen = np.full((int(small.shape[0] * 1.4), small.shape[1], 3), 17, np.uint8)
    screen[50 : 50 + small.shape[0]] = small
    cv2.putText(screen, "12:41", (8, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (240, 240, 240), 2)
    return screen


def rotate(pixels: Pixels) -> Pixels:
    how = Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).rotate(10, expand=True, resample=how))


def convert_to_grey(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


ATTACKS: dict[str, Callable[[Pixels], Leak]] = {
    "none": lambda copy: (copy, None),
    "q50": lambda copy: encode_jpeg(copy, 50),
    "demo": demo_leak,
    "mirror": lambda copy: encode_jpeg(np.ascontiguousarray(copy[:, ::-1]), 70),
    "turn10": lambda copy: encode_jpeg(rotate(copy), 70),
    "grey": lambda copy: encode_jpeg(convert_to_grey(copy), 70),
    "bars": lambda copy: encode_jpeg(make_screenshot(copy), 70),
}


def full_size_trial(prepared: PreparedPicture) -> Plane:
    return enlarge_mark(prepared.trial_pattern, prepared.layout.full)


def registered_evidence(leak: Leak, sent: Any) -> ChipEvidence:
    found, table = leak
    registration = register(found, sent.pixels)
    assert registration is not None
    laid, covered = warp_to_sent(found, registration)
    again = None
    tables = None if table is None else {0: table}
    read_by = luma_quantisation_table_for(
        tables, found.shape[0] * found.shape[1], sent.prepared.layout
    )
    if read_by is not None:
        under, inside = warp_to_found(sent.pixels, registration)
        trial, _ = warp_to_found(full_size_trial(sent.prepared), registration)
        again, _ = warp_to_sent(
            coefficient_evidence_per_pixel(found, under, inside, read_by, trial), registration
        )
    return detect_mark(laid, covered, sent.prepared, again)


def evidence_without_registration(leak: Leak, sent: Any) -> ChipEvidence:
    """Return the evidence of a leak whose pixels are on the grid of the sent picture."""
    found, table = leak
    covered = np.ones(found.shape[:2], np.bool_)
    if table is None:
        return detect_mark(found, covered, sent.prepared)
    coded = coefficient_evidence_per_pixel(
        found, sent.pixels, covered, table, full_size_trial(sent.prepared)
    )
    return detect_mark(found, covered, sent.prepared, coded)


def evidence_without_table(found: Pixels, sent: Any) -> ChipEvidence:
    return detect_mark(found, np.ones(found.shape[:2], np.bool_), sent.prepared)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_right_copy_is_named_after_an_attack(attack: str, chelsea: Any) -> None:
    scores = copy_scores(
        registered_evidence(ATTACKS[attack](chelsea.copy), chelsea), chelsea.streams
    )
    verdict = name_by_scores({RecipientId(str(i)): float(z) for i, z in enumerate(scores)})
    assert verdict.finding is Finding.ONE
    assert verdict.named == (RecipientId("0"),)
    assert scores[0] > 40.0
    assert np.abs(scores[1:]).max() < 4.75


@pytest.mark.parametrize(
    "name",
    [
        *("astronaut", "flower"),
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("coffee", "china", "rocket")),
    ],
)
def test_the_demo_leak_is_traced_on_every_photograph(
    name: str, photographs: dict[str, Any]
) -> None:
    sent = photographs[name]
    scores = copy_scores(registered_evidence(demo_leak(sent.copy), sent), sent.streams)
    assert scores[0] > 30.0
    assert np.abs(scores[1:]).max() < 4.75


@pytest.mark.threat("merged-copies")
def test_an_average_of_five_copies_names_all_five(chelsea: Any) -> None:
    copies = [embed_mark(chelsea.prepared, one, chelsea.dither) for one in chelsea.streams[:5]]
    mean = np.rint(np.mean([copy.astype(np.float64) for copy in copies], axis=0)).astype(np.uint8)
    scores = copy_scores(registered_evidence(encode_jpeg(mean, 70), chelsea), chelsea.streams)
    assert scores[:5].min() > NAMING_SCORE
    assert np.abs(scores[5:]).max() < 4.75


def innocent_leaks(sent: Any, photographs: dict[str, Any]) -> dict[str, Pixels]:
    other = embed_mark(sent.prepared, sent.streams[1], sent.dither)
    stranger = photographs["coffee"].pixels[: sent.pixels.shape[0], : sent.pixels.shape[1]]
    noisy = sent.copy + np.random.default_rng(2).integers(0, 20, sent.pixels.shape)
    return {
        "the unmarked original, coded": encode_jpeg(sent.pixels, 60)[0],
        "another copy": other,
        "another copy, coded": encode_jpeg(other, 40)[0],
        "noise": np.clip(noisy, 0, 255).astype(np.uint8),
        "another picture": stranger,
    }


@pytest.mark.threat("innocent-named")
def test_innocent_scores_have_mean_0_variance_1_and_stay_under_the_bound(
    chelsea: Any, photographs: dict[str, Any]
) -> None:
    rng = np.random.default_rng(11)
    count, size = 2000, -(-chelsea.prepared.layout.chip_count // 8)
    everything = []
    for leak in innocent_leaks(chelsea, photographs).values():
        drawn = copy_scores(
            evidence_without_table(leak, chelsea), (rng.bytes(size) for _ in range(count))
        )
        assert abs(drawn.mean()) < 4.0 / math.sqrt(count)
        assert abs(drawn.var() - 1.0) < 4.0 * math.sqrt(2.0 / count)
        everything.append(drawn)
    pooled = np.concatenate(everything)
    for level in (0.1, 0.01, 0.001):
        spread = 4.0 * math.sqrt(level * (1.0 - level) / len(pooled))
        bounded = np.mean([upper_tail(z) <= level for z in pooled])
        normal = np.mean([0.5 * math.erfc(z / math.sqrt(2.0)) <= level for z in pooled])
        assert bounded <= level
        assert abs(normal - level) < spread
    assert pooled.max() < NAMING_SCORE


def test_score_is_the_projection_of_the_chips_on_the_evidence(chelsea: Any) -> None:
    evidence = evidence_without_table(encode_jpeg(chelsea.copy, 70)[0], chelsea)
    signs = chips_of_stream(chelsea.streams[0], chelsea.prepared.layout.chip_count).astype(
        np.float64
    )
    expected = float(signs @ evidence.per_chip) / float(np.linalg.norm(evidence.per_chip))
    assert copy_scores(evidence, chelsea.streams[:1])[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("quality", [85, 50, 20])
def test_weighted_bands_reach_nearly_the_best_score(quality: int, chelsea: Any) -> None:
    evidence = evidence_without_table(encode_jpeg(chelsea.copy, quality)[0], chelsea)
    signs = chips_of_stream(chelsea.streams[0], chelsea.prepared.layout.chip_count)
    alone = [
        float(signs[band.start : band.stop] @ evidence.per_chip[band.start : band.stop])
        / float(np.linalg.norm(evidence.per_chip[band.start : band.stop]))
        for band in chelsea.prepared.layout.bands
    ]
    together = copy_scores(evidence, chelsea.streams[:1])[0]
    assert together > 0.93 * math.sqrt(sum(z * z for z in alone))
    assert min(alone) > 2.0


@pytest.mark.parametrize(("quality", "factor"), [(50, 1.1), (10, 1.3)])
def test_jpeg_coefficients_raise_the_score(quality: int, factor: float, chelsea: Any) -> None:
    leak = encode_jpeg(chelsea.copy, quality)
    plain = copy_scores(evidence_without_table(leak[0], chelsea), chelsea.streams[:1])[0]
    assert (
        copy_scores(evidence_without_registration(leak, chelsea), chelsea.streams[:1])[0]
        > factor * plain
    )


def blur(pixels: Pixels) -> Leak:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 3.0), np.uint8), None


def test_mark_is_detected_after_a_blur(chelsea: Any) -> None:
    assert (
        copy_scores(evidence_without_table(blur(chelsea.copy)[0], chelsea), chelsea.streams)[0]
        > 25.0
    )


def test_thumbnail_without_a_table_is_evaluated_at_its_own_size(chelsea: Any) -> None:
    small = resize(chelsea.copy, 0.25)
    assert copy_scores(registered_evidence((small, None), chelsea), chelsea.streams)[0] > 28.0


def test_inverted_colours_invert_the_mark(chelsea: Any) -> None:
    assert (
        copy_scores(evidence_without_table(255 - chelsea.copy, chelsea), chelsea.streams)[0] > 100.0
    )


@pytest.mark.parametrize("attack", ["none", "q50", "grey"])
def test_forecast_is_near_the_score_of_the_true_copy(attack: str, chelsea: Any) -> None:
    evidence = evidence_without_registration(ATTACKS[attack](chelsea.copy), chelsea)
    reached = copy_scores(evidence, chelsea.streams[:1])[0]
    assert 0.7 < reached / evidence.forecast < 1.3


def test_forecast_falls_with_the_jpeg_quality(chelsea: Any) -> None:
    forecasts = [
        evidence_without_registration(encode_jpeg(chelsea.copy, q), chelsea).forecast
        for q in (85, 50, 20, 10)
    ]
    assert forecasts == sorted(forecasts, reverse=True)
    nothing = detect_mark(
        chelsea.pixels, np.zeros(chelsea.pixels.shape[:2], bool), chelsea.prepared
    )
    assert nothing.forecast == 0.0


def test_forecast_is_similar_for_a_copy_and_the_original(chelsea: Any) -> None:
    marked, plain = (
        evidence_without_table(encode_jpeg(one, 50)[0], chelsea).forecast
        for one in (chelsea.copy, chelsea.pixels)
    )
    assert marked == pytest.approx(plain, rel=0.25)


def test_copy_is_found_beside_a_painted_area(chelsea: Any) -> None:
    painted = encode_jpeg(chelsea.copy, 70)[0].copy()
    painted[:, :200] = np.random.default_rng(5).integers(0, 255, (painted.shape[0], 200, 3))
    scores = copy_scores(evidence_without_table(painted, chelsea), chelsea.streams)
    assert scores[0] > 40.0


def test_leak_without_evidence_has_only_low_scores(chelsea: Any) -> None:
    blank = np.full_like(chelsea.pixels, 128)
    nothing = detect_mark(blank, np.zeros(blank.shape[:2], np.bool_), chelsea.prepared)
    assert np.abs(copy_scores(nothing, chelsea.streams)).max() < 4.75
    exact = copy_scores(evidence_without_table(chelsea.pixels, chelsea), chelsea.streams)
    assert np.isfinite(exact).all()
    assert np.abs(exact).max() < 4.75


def package_functions(package: ModuleType) -> list[Callable[..., object]]:
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return [
        function
        for module in modules
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
    ]


SECRET_PARAMETER = re.compile(
    r"(?<![a-z])(key|stream|streams|recipient|recipients|seed|secret|scores?)"
)
# The functions that may take a key stream, a score or bytes. They make chips or copies, or compute
# or use scores. The bytes that ``read_contour`` takes are a stored contour and not a key.
ALLOWED_FUNCTIONS = {
    *{"audio_location.read_contour", "audio_mark.embed_sound_mark", "chip_layout.chips_of_stream"},
    *{"embed.embed_mark", "embed.paint_copy", "audio_detector.key_scores", "detector.copy_scores"},
    *{"detector.remove_copies", "likelihood.likelihood_ratio", "likelihood.upper_tail"},
    *{
        "verdict._chance_in_round",
        "verdict._newly_named",
        "verdict.name_by_scores",
        "verdict.name_in_rounds",
    },
}


@pytest.mark.threat("innocent-named")
@pytest.mark.parametrize("package", [entrenous.watermark.alignment, entrenous.watermark])
def test_functions_before_the_score_have_no_parameter_for_a_key(package: ModuleType) -> None:
    functions = package_functions(package)
    assert len(functions) > 20
    telling = {
        f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        for function in functions
        for parameter in inspect.signature(function).parameters.values()
        if SECRET_PARAMETER.search(
            f"{parameter.name} {parameter.annotation}".lower().replace("_", " ")
        )
        or parameter.annotation in (bytes, "bytes")
    }
    allowed = ALLOWED_FUNCTIONS if package is entrenous.watermark else set()
    assert telling == allowed
