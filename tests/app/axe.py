"""Run axe on pages, but only once on pages that differ only in text.

All rules are checked once for each page structure. For the same structure with different colours or
a different layout (larger text, right to left), only the rules about colours or layout are checked
again. The processes of one test run share a file with hashes of the pages on which axe found
nothing, and later runs of ``make test`` read this file. A hash covers the page, the rules, the
script of axe, and the version of Chromium.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from entrenous.base.language import LANGUAGES, PSEUDO_LANGUAGE

#: The tags of the rules for WCAG 2.2 AA, and of those that axe calls best practice.
_RULE_TAGS: Final = (
    *("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"),
)
#: The rules that check colours.
_COLOUR_RULES: Final = ("color-contrast", "link-in-text-block")
#: The rules that check sizes and positions.
_LAYOUT_RULES: Final = (
    *("target-size", "scrollable-region-focusable", "region", "bypass", "skip-link"),
)
_HASH_BYTES: Final = 32
_AXE_AND_RULES_HASH: Final = sha256(
    json.dumps([AXE_SCRIPT, _RULE_TAGS, _COLOUR_RULES, _LAYOUT_RULES]).encode()
).hexdigest()
_RUN_AXE: Final = """options => {
  if (!("axe" in window) && "loadAxe" in window) loadAxe();
  return "axe" in window && axe.run(options).then(found => found.violations);
}"""
# Returns the scroll position and the text size of a page, and the structure, the colours and the
# layout of the elements. Most texts are described only as present or absent. Ids, labels and
# headings are numbered in order of appearance, because it matters which of them are equal. The page
# is first scrolled to the top: further down, the bar at the top may cover a part of a button.
#
# Colours are compared together with the size that the text has at 100 %, because larger text is at
# least as easy to read in the same colours.
#
# Hashes are returned, because the full description takes longer to transfer. Only a page without
# ``crypto.subtle``, such as a data: URL, returns the full description.
_CONTENT_AND_LOOKS: Final = """async () => {
  const at = scrollY;
  scrollTo({ top: 0, behavior: "instant" });
  const scale = (/size-(\\d+)/.exec(document.documentElement.className)?.[1] ?? 100) / 100;
  const colours = [], places = [], numbers = new Map();
  const nth = (kind, words) => {
    const key = `${kind} ${words.trim()}`;
    if (!numbers.has(key)) numbers.set(key, numbers.size);
    return words.trim() && numbers.get(key);
  };
  const ids = new Set(["id", "for", "headers", "list", "aria-labelledby", "aria-describedby",
    "aria-controls", "aria-owns", "aria-details"]);
  const words = new Set(["alt", "title", "aria-label", "placeholder", "name"]);
  const onlyThere = new Set(["src", "action", "value", "d", "points", "datetime", "poster"]);
  const languages = new Set(LANGUAGES);
  const content = (name, value) => {
    if (name === "lang" && languages.has(value)) return "there";
    if (ids.has(name)) return value.split(/\\s+/).map((one) => nth("id", one));
    if (words.has(name)) return nth("words", value);
    if (name === "href") return value.startsWith("#") ? ["#", nth("id", value.slice(1))] : "";
    return onlyThere.has(name) || name.startsWith("data-") ? value && "there" : value;
  };
  const look = (one, is, box) => {
    const isOutside = box.right <= 0 || box.left >= innerWidth || box.bottom <= 0;
    const both = [is.position, is.float, is.display, isOutside];
    colours.push([...both, (parseFloat(is.fontSize) / scale).toFixed(1),
      is.color, is.backgroundColor, is.opacity, is.fontWeight, is.filter,
      is.textShadow, is.textDecorationLine, is.backgroundImage.slice(0, 40)]);
    places.push([...both, is.fontSize, is.direction, box.width < 24, box.height < 24,
      /auto|scroll/.test(is.overflowX + is.overflowY)
        && (one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight)]);
  };
  const shape = (one) => {
    const is = getComputedStyle(one), outside = new Set(["class", "dir", "style"]);
    look(one, is, one.getBoundingClientRect());
    return [one.tagName, one.checkVisibility(), is.visibility, one.checked, one.disabled, one.open,
      [...one.attributes].filter((it) => !outside.has(it.name)).sort((a, b) => a.name < b.name
        ? -1 : 1).map((it) => [it.name, content(it.name, it.value)]),
      one.matches("h1, h2, h3, h4, h5, h6, legend, caption") ? nth("words", one.textContent) : 0,
      [...one.childNodes].map((it) => it.nodeType === 1 ? shape(it) : it.nodeType === 3
        && it.data.trim() ? "text" : 0).filter((it) => it)];
  };
  const consists = [document.title !== "", shape(document.documentElement)];
  const hashed = async (it) => {
    const text = JSON.stringify(it);
    if (!crypto.subtle) return text;
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    return new Uint8Array(hash).join(" ");
  };
  return [at, scale, ...await Promise.all([consists,
    ...[colours, places].map((it) => [innerWidth, innerHeight, it])].map(hashed))];
}""".replace("LANGUAGES", json.dumps([*LANGUAGES, PSEUDO_LANGUAGE]))


class CleanPages:
    """Hashes of pages on which axe found nothing.

    The hashes of a page are those of its structure alone, of its structure with its colours, and of
    its structure with its layout.
    """

    def __init__(self) -> None:
        self._known = set[bytes]()
        self._file: Path | None = None
        self._read_bytes = 0

    def share(self, file: Path) -> None:
        """Share the hashes with other processes through this file."""
        self._file, self._read_bytes = file, 0

    def __contains__(self, page_hash: bytes) -> bool:
        if page_hash not in self._known:
            self._read()
        return page_hash in self._known

    def add(self, *page_hashes: bytes) -> None:
        self._known.update(page_hashes)
        if self._file is not None:
            with self._file.open("ab") as shared:
                shared.write(b"".join(page_hashes))

    def _read(self) -> None:
        if self._file is None or not self._file.exists():
            return
        with self._file.open("rb") as shared:
            shared.seek(self._read_bytes)
            new = shared.read()
        whole = len(new) - len(new) % _HASH_BYTES
        self._read_bytes += whole
        self._known.update(new[at : at + _HASH_BYTES] for at in range(0, whole, _HASH_BYTES))


CLEAN_PAGES: Final = CleanPages()


def send_axe_with_each_page(page: Page) -> None:
    """Add axe to each page, as a function that is called only if axe has to run on the page.

    Sending axe on demand would take more time.
    """
    page.add_init_script(f"window.loadAxe = () => {{{AXE_SCRIPT}\n}}")


def violations(page: Page) -> list[str]:
    """Return each violated rule, with the first characters of each element that violates it.

    If axe found nothing before on a page with the same structure, colours and layout, axe does not
    run, and the list is empty.
    """
    page.wait_for_load_state()  # a page looks different before its styles are loaded
    at, scale, content, *looks = page.evaluate(_CONTENT_AND_LOOKS)
    try:
        return _violations(page, scale, content, looks)
    finally:
        if at:
            page.evaluate("at => scrollTo({ top: at, behavior: 'instant' })", at)


def _violations(page: Page, scale: float, content: str, looks: list[str]) -> list[str]:
    content = f"{_AXE_AND_RULES_HASH} {_chromium_of(page).version} {content}"
    keys = {
        rules: _hash_of(content, *rules, look)
        for rules, look in zip((_COLOUR_RULES, _LAYOUT_RULES), looks, strict=True)
    }
    new = [rules for rules, key in keys.items() if key not in CLEAN_PAGES]
    if not new:
        return []
    is_known = _hash_of(content) in CLEAN_PAGES
    found = _run_axe(page, ("rule", sum(new, ())) if is_known else ("tag", _RULE_TAGS))
    if not found:
        if scale != 1:
            # larger text needs less contrast, so this result says nothing about text at 100 %
            del keys[_COLOUR_RULES]
        CLEAN_PAGES.add(_hash_of(content), *keys.values())
    return [f"{one['id']}: {[node['html'][:160] for node in one['nodes']]}" for one in found]


def _chromium_of(page: Page) -> Browser:
    browser = page.context.browser
    assert browser is not None
    return browser


def _hash_of(*parts: str) -> bytes:
    return sha256("\0".join(parts).encode()).digest()


def _run_axe(page: Page, run_only: tuple[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    only = {"type": run_only[0], "values": list(run_only[1])}
    options = {"resultTypes": ["violations"], "runOnly": only}
    found: list[dict[str, Any]] | bool = page.evaluate(_RUN_AXE, options)
    if isinstance(found, bool):
        page.evaluate(AXE_SCRIPT)
        found = page.evaluate(_RUN_AXE, options)
    assert isinstance(found, list)
    return found
