"""Walk through pages as a person does, with the mouse or the keyboard alone, and check each page.
The functions ``..._at_once`` set up a device or open a case by requests, without opening each page.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page

from entrenous.app.pages.questions import QUESTION_NUMBERS
from tests.app.axe import send_axe_with_each_page
from tests.app.page_walker import route_of
from tests.app.presentations import assert_accessible
from tests.app.served import PAGES_WITHOUT_SCRIPT, PASSPHRASE, assert_no_violations
from tests.app.states import CHECKED_ELSEWHERE

Mode = Literal["mouse", "keyboard", "no-script"]
#: ``make test`` uses the keyboard with scripts, and the mouse without script; ``make nightly`` also
#: uses the mouse with scripts.
MODE_PARAMETERS = pytest.mark.parametrize(
    "mode", [pytest.param("mouse", marks=pytest.mark.nightly), "keyboard", "no-script"]
)
_CASE_ANSWERS = {"safe": "yes", "watched": "no", "age": "yes", "posted": "public"}
_TABS_MAX = 150
#: This script returns how often Tab can be pressed at once without moving past the target.
_COUNT_TABS = """target => {
  const at = document.activeElement, follows = Node.DOCUMENT_POSITION_FOLLOWING;
  const stops = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
    .filter(one => one.tabIndex >= 0 && !one.disabled && one.type !== "radio"
      && one.type !== "hidden" && one.checkVisibility({ visibilityProperty: true }));
  const after = stops.filter(one => at.compareDocumentPosition(one) & follows);
  const before = stops.filter(one => target.compareDocumentPosition(one) & ~follows);
  const between = at.compareDocumentPosition(target) & follows
    ? after.filter(one => before.includes(one)) : [...after, ...before];
  return Math.max(0, between.filter(one => one !== target).length - 1);
}"""
_NEXT_KEY = """target => {
  const at = document.activeElement;
  if (at === target) return "";
  const isInGroup = target.type === "radio" && at.type === "radio" && at.name === target.name;
  return isInGroup ? "ArrowDown" : "Tab";
}"""


@dataclass
class Walker:
    """A person at a browser page. ``headings`` has the headings of the checked pages, in order;
    equal headings in a row count once.
    """

    page: Page
    mode: Mode = "mouse"
    headings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Playwright intercepts file choosers only while there is a listener, and begins some time
        # after the listener is added. Without this listener, the first chooser could be missed.
        self.page.on("filechooser", lambda _: None)
        if self.page not in PAGES_WITHOUT_SCRIPT:
            send_axe_with_each_page(self.page)

    def press(self, name: str, role: Literal["button", "link"] = "button") -> None:
        """Press a button or a link, and check the page that it leads to."""
        self._activate_and_wait(self.page.get_by_role(role, name=name).first)
        self.check_page()

    def follow(self, name: str) -> None:
        """Follow the link with exactly this name, and check the page that it leads to."""
        self._activate_and_wait(self.page.get_by_role("link", name=name, exact=True))
        self.check_page()

    def press_exactly(self, name: str) -> None:
        """Press the button with exactly this name, and check the page that it leads to."""
        self._activate_and_wait(self.page.get_by_role("button", name=name, exact=True))
        self.check_page()

    def fill(self, label: str, text: str) -> None:
        control = self.page.get_by_label(label)
        if self.mode != "keyboard":
            control.fill(text)
            return
        self._tab_to(control)
        self.page.keyboard.press("ControlOrMeta+a")  # the new text replaces the selected text
        self.page.keyboard.type(text)

    def tick(self, label: str) -> None:
        control = self.page.get_by_label(label)
        if self.mode != "keyboard":
            control.check()
            return
        self._tab_to(control)
        self.page.keyboard.press("Space")

    def untick(self, label: str) -> None:
        control = self.page.get_by_label(label)
        if self.mode != "keyboard":
            control.uncheck()
            return
        self._tab_to(control)
        self.page.keyboard.press("Space")

    def choose_file(self, label: str, file: Path) -> None:
        control = self.page.get_by_label(label)
        if self.mode != "keyboard":
            control.set_input_files(file)
            return
        self._tab_to(control)
        with self.page.expect_file_chooser() as chooser:
            self.page.keyboard.press("Enter")
        chooser.value.set_files(file)

    def unfold(self, summary: str) -> None:
        self._activate(self.page.locator("summary").filter(has_text=summary).first)

    def save_file(self, name: str) -> tuple[str, bytes]:
        """Press a link that saves a file; return the file's name and its bytes."""
        with self.page.expect_download() as saving:
            self._activate(self.page.get_by_role("link", name=name).first)
        return saving.value.suggested_filename, saving.value.path().read_bytes()

    def begin(self, name: str) -> None:
        """Press a button that starts long work, without waiting for the next page."""
        self._activate(self.page.get_by_role("button", name=name).first)

    def wait_for_page(self, heading: str) -> None:
        """Wait for a page that appears by itself after long work, and check it."""
        self.page.get_by_role("heading", name=heading).first.wait_for()
        self.check_page()

    def check_page(self) -> None:
        """Wait until the page has loaded, note the heading, and check the accessibility."""
        self.page.wait_for_load_state()
        heading = self.page.get_by_role("heading", level=1)
        heading.wait_for()
        if not self.headings or self.headings[-1] != heading.inner_text():
            self.headings.append(heading.inner_text())
        if route_of(self.page.url) in CHECKED_ELSEWHERE:
            assert_accessible(self.page)
        else:
            assert_no_violations(self.page)

    def _activate_and_wait(self, target: Locator) -> None:
        """Press an element that leads to another page, and wait until that page has loaded.

        A click waits for the navigation, but a key press does not. Without a wait, the script of
        the new page would take the focus from the element that is used next.
        """
        if self.mode != "keyboard":
            target.click()
            return
        with self.page.expect_navigation():
            self._activate(target)

    def _activate(self, target: Locator) -> None:
        if self.mode != "keyboard":
            target.click()
            return
        self._tab_to(target)
        self.page.keyboard.press("Enter")

    def _tab_to(self, target: Locator) -> None:
        """Press Tab until the target has the focus; within a radio group, press the down arrow."""
        target.wait_for()
        for _ in range(target.evaluate(_COUNT_TABS)):
            self.page.keyboard.press("Tab")
        for _ in range(_TABS_MAX):
            key = target.evaluate(_NEXT_KEY)
            if not key:
                return
            self.page.keyboard.press(key)
        raise AssertionError(f"the keyboard does not reach {target}")


def set_up_at_once(page: Page, name: str = "Ana") -> None:
    """Set the device up, without a relay, and show the first page."""
    fields = {"name": name, "passphrase": PASSPHRASE, "again": PASSPHRASE, "where": "none"}
    assert _post_form(page, "/0", fields) == "/"
    page.goto(_address(page))


def open_case_at_once(
    page: Page, where: str = "www.instagram.com/p/123", place: str = "United States"
) -> None:
    """Open a case about public pictures of the person, and show its page."""
    answers = {**_CASE_ANSWERS, "place": place, "where": where}
    names = {number: name for name, number in QUESTION_NUMBERS.items()}
    answer_path = _post_form(page, "/81", {"for": "me"})
    while not answer_path.startswith("/83/"):
        name = names[int(answer_path.rpartition("/")[2])]
        answered = "answer" if name in _CASE_ANSWERS or name not in answers else name
        answer_path = _post_form(
            page, f"/81/{QUESTION_NUMBERS[name]}", {answered: answers.get(name, "skip")}
        )
    page.goto(_address(page) + answer_path)


def _post_form(page: Page, path: str, fields: dict[str, str]) -> str:
    """Post a form as a page of the app does; return the path to which it leads."""
    address = _address(page)
    form: dict[str, str | float | bool] = {**fields}
    answer = page.context.request.post(address + path, form=form, headers={"origin": address})
    assert answer.ok, (path, answer.text())
    return urlsplit(answer.url).path


def _address(page: Page) -> str:
    url = urlsplit(page.url)
    return f"{url.scheme}://{url.netloc}"
