"""``index.html``: the demonstration on one page without scripts; its pictures are data URLs."""

import base64
import hashlib
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
from PIL import Image, ImageDraw, ImageOps

from entrenous.demo.sample_photos import file_metadata, open_picture
from entrenous.demo.stage import DemoState, StepOutcome
from entrenous.trace.explain.wording import chance_in_digits, chance_in_words

PAGE_PICTURE_SIDE_PX_MAX: Final = 900
DIFFERENCE_GAIN: Final = 24  # factor that makes the difference between two copies visible
_FADE_TO_WHITE_SHARE: Final = 0.35
_OUTLINE_COLOUR: Final = (79, 157, 222)


def open_rgb(path: Path) -> Image.Image:
    """Open a picture, turn it upright, and convert it to RGB."""
    with open_picture(path.read_bytes()) as picture:
        return ImageOps.exif_transpose(picture).convert("RGB")


def amplified_difference(one: Image.Image, other: Image.Image) -> Image.Image:
    """Return the difference between two copies, multiplied by ``DIFFERENCE_GAIN`` and added to
    middle grey.
    """
    a, b = (np.asarray(picture, np.int16) for picture in (one, other))
    return Image.fromarray(np.clip(128 + DIFFERENCE_GAIN * (a - b), 0, 255).astype(np.uint8))


def draw_leak_over_original(
    leak: Image.Image, original: Image.Image, homography: Sequence[float]
) -> Image.Image:
    """Draw the leak in its place on the faded original, with a line around it.

    ``homography`` maps the original's pixels to the leak's, row by row, as in ``trace --json``.
    """
    scaled = tuple(number / homography[8] for number in homography[:8])
    method = Image.Transform.PERSPECTIVE
    placed = leak.transform(original.size, method, scaled, Image.Resampling.BICUBIC)
    inside = Image.new("L", leak.size, 255).transform(original.size, method, scaled)
    faded = Image.blend(
        original.convert("L").convert("RGB"),
        Image.new("RGB", original.size, "white"),
        _FADE_TO_WHITE_SHARE,
    )
    faded.paste(placed, mask=inside)
    _draw_bounding_box(faded, inside)
    return faded


def picture_data_url(picture: Image.Image) -> str:
    """Encode a picture as a data URL, at most ``PAGE_PICTURE_SIDE_PX_MAX`` on its longest side."""
    small = picture.copy()
    small.thumbnail((PAGE_PICTURE_SIDE_PX_MAX, PAGE_PICTURE_SIDE_PX_MAX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=86, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _draw_bounding_box(picture: Image.Image, inside: Image.Image) -> None:
    box = inside.getbbox()
    if box is not None:
        width = max(2, max(picture.size) // 200)
        ImageDraw.Draw(picture).rectangle(box, outline=_OUTLINE_COLOUR, width=width)


# the plot's scale reaches at least this score, in standard deviations
_SCORE_SCALE_END_MIN: Final = 60.0
# The lowest score, in standard deviations, at which one of two copies is named; docs/spec/mark.md.
_NAMING_SCORE_MIN: Final = 5.9


def write_page(story: DemoState) -> StepOutcome:
    """Step 9: write a page with the pictures, the verdict and the case."""
    style = _read_asset("page.css")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(_read_asset("page.html.j2")).render(
        style=style,
        policy=_content_security_policy(style),
        pictures=_picture_data_urls(story),
        left_behind=file_metadata(story.photo.read_bytes()),
        gain=DIFFERENCE_GAIN,
        message=story.message,
        decision=story.decision,
        match=story.decision["matches"][0],
        verdict=_verdict_figures(story),
        case=story.case,
        clock=story.case["deadlines"][0],
        notice=story.notice,
        recall_words=story.recall_words,
    )
    (story.out / "index.html").write_text(page, encoding="utf-8")
    return StepOutcome("The story, with its pictures, is on one page.")


def _picture_data_urls(story: DemoState) -> dict[str, str]:
    original = open_rgb(story.photo)
    ben, caro = open_rgb(story.copies["ben"]), open_rgb(story.copies["caro"])
    leak = open_rgb(story.leak)
    return {
        "original": picture_data_url(original),
        "ben": picture_data_url(ben),
        "caro": picture_data_url(caro),
        "difference": picture_data_url(amplified_difference(ben, caro)),
        "leak": picture_data_url(leak),
        "overlay": picture_data_url(
            draw_leak_over_original(leak, original, story.trace["warp"]["homography"])
        ),
    }


def _verdict_figures(story: DemoState) -> dict[str, Any]:
    chance, score = story.trace["chance"], story.trace["score"]
    scale_max = max(_SCORE_SCALE_END_MIN, *score.values())
    rows = [
        {
            "who": who.capitalize(),
            "score": score[who],
            "chance": chance_in_digits(chance[who]),
            "width": round(100 * max(score[who], 0.0) / scale_max, 1),
            "named": who in story.trace["named"],
        }
        for who in sorted(score, key=score.__getitem__, reverse=True)
    ]
    return {
        "rows": rows,
        "line": round(100 * _NAMING_SCORE_MIN / scale_max, 1),
        "odds": chance_in_words(chance["caro"]),
        "kept": story.trace["warp"]["kept"],
    }


def _content_security_policy(style: str) -> str:
    """Return a policy that allows only the style sheet's hash and the pictures in the page."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )


def _read_asset(name: str) -> str:
    return files("entrenous.demo").joinpath(name).read_text(encoding="utf-8")
