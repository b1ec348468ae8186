"""The five presentations in which every page has to be accessible, and the checks in each."""

from dataclasses import dataclass
from typing import Final, Literal

from playwright.sync_api import Page

from tests.app.axe import violations
from tests.app.served import PAGES_WITHOUT_SCRIPT

_FIND_LAYOUT_FAULTS: Final = """() => {
  const faults = [], root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`${root.scrollWidth} px wide`);
  const headings = document.querySelectorAll("h1").length;
  if (headings !== 1) faults.push(`${headings} h1`);
  for (const one of document.querySelectorAll("button, .button, summary, select, textarea,"
      + " input:not([type=hidden], [type=checkbox], [type=radio], [type=range]), label.choice")) {
    const box = one.getBoundingClientRect();
    if (box.width && (box.height < 43.9 || box.width < 43.9))
      faults.push(`${box.width.toFixed()} x ${box.height.toFixed()}: ${one.outerHTML}`);
  }
  return faults;
}"""


@dataclass(frozen=True)
class Presentation:
    """How a page is shown: colours, the size of text, and the direction of writing."""

    color_scheme: Literal["light", "dark"] = "light"
    forced_colors: Literal["none", "active"] = "none"
    text_size: int = 100
    direction: str = "ltr"


PRESENTATIONS: Final = {
    "light": Presentation(),
    "dark": Presentation("dark"),
    "forced colours": Presentation("dark", "active"),
    "200 % text": Presentation(text_size=200),
    "right to left": Presentation(direction="rtl"),
}


def apply_presentation(page: Page, presentation: Presentation) -> None:
    """Wait until the page has loaded, then show it in this presentation."""
    page.wait_for_load_state()  # after a click, the next page has only begun to load
    page.emulate_media(
        color_scheme=presentation.color_scheme,
        forced_colors=presentation.forced_colors,
        reduced_motion="reduce",
    )
    page.evaluate(
        "([size, dir]) => { document.documentElement.className = `size-${size}`;"
        " document.documentElement.dir = dir; }",
        [presentation.text_size, presentation.direction],
    )


def assert_accessible(page: Page) -> None:
    """Fail if the page has faults in one of the presentations. Skip pages without script, because
    axe cannot run there.
    """
    if page in PAGES_WITHOUT_SCRIPT:
        return
    for name, presentation in PRESENTATIONS.items():
        apply_presentation(page, presentation)
        found = accessibility_faults(page)
        assert found == [], (name, found)
    apply_presentation(page, PRESENTATIONS["light"])


def accessibility_faults(page: Page) -> list[str]:
    """Return axe's findings, and a fault if the page is too wide, a control is smaller than 44 px,
    or there is not exactly one h1.
    """
    return [*violations(page), *page.evaluate(_FIND_LAYOUT_FAULTS)]
