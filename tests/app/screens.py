"""Take the screenshots in docs/screens/: every state of ``states.STATES``, light and dark.

    python -m tests.app.screens [STATE ...]

The pictures have the width of a phone. They are WebP files named after a state and a colour scheme,
and ``README.md`` lists them.
"""

import io
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from PIL import Image

from tests.app.page_walker import visit_states
from tests.app.presentations import PRESENTATIONS, apply_presentation
from tests.app.served import PHONE, run_chromium
from tests.app.states import STATES, all_states, open_story

SCREENSHOTS_FOLDER: Final = Path(__file__).parents[2] / "docs" / "screens"
COLOUR_SCHEMES: Final = ("light", "dark")
SCREENSHOTS_BYTES_MAX: Final = 4_000_000  # of all files in the folder together
_HEIGHT_MAX_PX: Final = 3 * PHONE["height"] // 2
_README_HEAD: Final = """\
# Every page, in every state

Each page of the app, on a phone whose screen is 390 x 844 points. A longer page is cut off at one
and a half times the height of the screen. The people and the pictures are examples; the photograph
is NASA's, in the public domain. `make screens` takes the screenshots from the running program, and
`tests/app/states.py` lists the pages.

| page | light | dark |
| --- | --- | --- |
"""


def screenshot_name(state: str, scheme: str) -> str:
    return f"{state}-{scheme}.webp"


def readme_text() -> str:
    """Return the text of ``README.md``, which lists all screenshots."""
    rows = (
        f"| {state.replace('-', ' ')} | "
        + " | ".join(
            f'<img src="{screenshot_name(state, scheme)}" width="260" alt="{state}, {scheme}">'
            for scheme in COLOUR_SCHEMES
        )
        + " |"
        for state in STATES
    )
    return _README_HEAD + "\n".join(rows) + "\n"


def save_screenshots(chosen: Collection[str], folder: Path) -> None:
    """Visit every state of the app's pages, and save screenshots of the chosen states."""
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as workspace,
        run_chromium(whole=True) as browser,
        open_story(browser, Path(workspace)) as story,
    ):
        page = story.ana.page
        for state, _ in visit_states(all_states(story), story.ana):
            for scheme in COLOUR_SCHEMES if state in chosen else ():
                apply_presentation(page, PRESENTATIONS[scheme])
                page.evaluate("scrollTo(0, 0)")  # puts the bar at the top of the screenshot
                _save_upper_part(
                    page.screenshot(full_page=True), folder / screenshot_name(state, scheme)
                )
            apply_presentation(page, PRESENTATIONS["light"])


def _save_upper_part(png: bytes, to: Path) -> None:
    with Image.open(io.BytesIO(png)) as drawn:
        shown = drawn.convert("RGB").crop((0, 0, drawn.width, min(drawn.height, _HEIGHT_MAX_PX)))
        shown.save(to, quality=20, method=6)


def main(arguments: list[str]) -> None:
    chosen = arguments or list(STATES)
    save_screenshots(chosen, SCREENSHOTS_FOLDER)
    wanted = {screenshot_name(state, scheme) for state in STATES for scheme in COLOUR_SCHEMES}
    for file in SCREENSHOTS_FOLDER.glob("*.webp"):
        if file.name not in wanted:
            file.unlink()
    (SCREENSHOTS_FOLDER / "README.md").write_text(readme_text())


if __name__ == "__main__":
    main(sys.argv[1:])
