"""What axe finds on a page. It is not asked twice about pages that differ by their words alone.

It judges what a page consists of once, its colours as often as they are different, and where
things stand as often as that is: larger, from right to left. What the rest of its rules ask about
is the same then.
"""

from hashlib import sha256
from typing import Any, Final

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

#: WCAG 2.2 AA, and axe's best practice.
_TAGS: Final = (
    *("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"),
)
#: The rules among them that ask in which colour something is.
_ABOUT_COLOURS: Final = ("color-contrast", "link-in-text-block")
#: Those that ask how large something is, or where it stands.
_ABOUT_PLACES: Final = (
    *("target-size", "scrollable-region-focusable", "region", "bypass", "skip-link"),
)
_RUN: Final = "options => axe.run(options).then(found => found.violations)"
# What a page consists of, and how each element looks. A text counts as being there or not. Where
# it matters which words are equal (ids, labels, headings), they are numbered as they come.
_CONTENT_AND_LOOKS: Final = """() => {
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
  const content = (name, value) => {
    if (ids.has(name)) return value.split(/\\s+/).map((one) => nth("id", one));
    if (words.has(name)) return nth("words", value);
    if (name === "href") return value.startsWith("#") ? ["#", nth("id", value.slice(1))] : "";
    return onlyThere.has(name) || name.startsWith("data-") ? value && "there" : value;
  };
  const look = (one, is, box) => {
    const isOutside = box.right <= 0 || box.left >= innerWidth || box.bottom <= 0;
    const both = [is.fontSize, is.position, is.float, is.display, isOutside];
    colours.push([...both, is.color, is.backgroundColor, is.opacity, is.fontWeight, is.filter,
      is.textShadow, is.textDecorationLine, is.backgroundImage.slice(0, 40)]);
    places.push([...both, is.direction, box.width < 24, box.height < 24,
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
  const consists = JSON.stringify([document.title !== "", shape(document.documentElement)]);
  return [consists, ...[colours, places].map((it) =>
    JSON.stringify([innerWidth, innerHeight, it]))];
}"""
# Where a page is scrolled, the bar at its top may lie over a part of a button.
_TO_THE_TOP: Final = """() => {
  const at = scrollY;
  scrollTo({ top: 0, behavior: "instant" });
  return at;
}"""
_sound = set[bytes]()
_clean = set[tuple[bytes, tuple[str, ...], bytes]]()


def violations(page: Page) -> list[str]:
    """Return what axe finds on the page, as the rule and the first characters of each element."""
    page.wait_for_load_state()  # without its styles, a page is another one
    at = page.evaluate(_TO_THE_TOP)
    try:
        return _violations(page)
    finally:
        page.evaluate("at => scrollTo({ top: at, behavior: 'instant' })", at)


def _violations(page: Page) -> list[str]:
    content, *looks = (sha256(one.encode()).digest() for one in page.evaluate(_CONTENT_AND_LOOKS))
    keys = {
        (content, rules, look)
        for rules, look in zip((_ABOUT_COLOURS, _ABOUT_PLACES), looks, strict=True)
    }
    new = [rule for _, rules, _ in keys - _clean for rule in rules]
    if not new:
        return []
    found = _ask(page, ("rule", new) if content in _sound else ("tag", list(_TAGS)))
    if not found:
        _sound.add(content)
        _clean.update(keys)
    return [f"{one['id']}: {[node['html'][:160] for node in one['nodes']]}" for one in found]


def _ask(page: Page, which: tuple[str, list[str]]) -> list[dict[str, Any]]:
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    only = {"type": which[0], "values": which[1]}
    found: list[dict[str, Any]] = page.evaluate(
        _RUN, {"resultTypes": ["violations"], "runOnly": only}
    )
    return found
