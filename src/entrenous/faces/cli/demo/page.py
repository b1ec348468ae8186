"""``index.html``: the demonstration on one page that needs no script and no other file."""

import base64
import hashlib
from importlib.resources import files
from typing import Any, Final

import jinja2

from entrenous.faces.cli.demo.photo import carried
from entrenous.faces.cli.demo.pictures import GAIN, as_data, difference, laid_over, opened
from entrenous.faces.cli.demo.story import Outcome, Story
from entrenous.trace.words import in_digits, odds

_SCORE_SHOWN: Final = 60.0  # the longest bar of the plot, in standard deviations
_NAMES_FROM: Final = 5.9  # the score from which one of two copies is named; docs/spec/mark.md


def write_page(story: Story) -> Outcome:
    """9: a page with the pictures, the verdict and the case."""
    style = _read("page.css")
    page = _template().render(
        style=style,
        policy=_policy(style),
        pictures=_pictures(story),
        left_behind=carried(story.photo.read_bytes()),
        gain=GAIN,
        message=story.message,
        decision=story.decision,
        match=story.decision["matches"][0],
        verdict=_verdict(story),
        case=story.case,
        clock=story.case["deadlines"][0],
        notice=story.notice,
        recall_words=story.recall_words,
    )
    (story.out / "index.html").write_text(page, encoding="utf-8")
    return Outcome("The story, with its pictures, is on one page.")


def _pictures(story: Story) -> dict[str, str]:
    original = opened(story.photo)
    ben, caro = opened(story.copies["ben"]), opened(story.copies["caro"])
    leak = opened(story.leak)
    return {
        "original": as_data(original),
        "ben": as_data(ben),
        "caro": as_data(caro),
        "difference": as_data(difference(ben, caro)),
        "leak": as_data(leak),
        "overlay": as_data(laid_over(leak, original, story.trace["warp"]["homography"])),
    }


def _verdict(story: Story) -> dict[str, Any]:
    chance, score = story.trace["chance"], story.trace["score"]
    most = max(_SCORE_SHOWN, *score.values())
    rows = [
        {
            "who": who.capitalize(),
            "score": score[who],
            "chance": in_digits(chance[who]),
            "width": round(100 * max(score[who], 0.0) / most, 1),
            "named": who in story.trace["named"],
        }
        for who in sorted(score, key=score.__getitem__, reverse=True)
    ]
    return {
        "rows": rows,
        "line": round(100 * _NAMES_FROM / most, 1),
        "odds": odds(chance["caro"]),
        "kept": story.trace["warp"]["kept"],
    }


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_read("page.html.j2"))


def _policy(style: str) -> str:
    """Nothing may run or load: the one style sheet is named by its hash, pictures are in the
    page.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )


def _read(name: str) -> str:
    return files("entrenous.faces.cli.demo").joinpath(name).read_text(encoding="utf-8")
