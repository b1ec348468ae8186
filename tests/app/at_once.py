"""What a test of pages needs before it begins, by requests of its browser: no page is walked."""

from urllib.parse import urlsplit

from playwright.sync_api import Page

from entrenous.app.pages.questions import NUMBERS
from tests.app.served import PASSPHRASE

_ANSWERS = {"safe": "yes", "watched": "no", "age": "yes", "posted": "public"}


def set_up_at_once(page: Page, name: str = "Ana") -> None:
    """Set the device up, without a relay, and show its first page."""
    words = {"name": name, "passphrase": PASSPHRASE, "again": PASSPHRASE, "where": "none"}
    assert _post(page, "/0", words) == "/"
    page.goto(_address(page))


def open_case_at_once(
    page: Page, where: str = "www.instagram.com/p/123", place: str = "United States"
) -> None:
    """Answer what ``walker.begin_case`` answers, and show the case."""
    told = {**_ANSWERS, "place": place, "where": where}
    names = {number: name for name, number in NUMBERS.items()}
    at = _post(page, "/81", {"for": "me"})
    while not at.startswith("/83/"):
        name = names[int(at.rpartition("/")[2])]
        field = "answer" if name in _ANSWERS or name not in told else name
        at = _post(page, f"/81/{NUMBERS[name]}", {field: told.get(name, "skip")})
    page.goto(_address(page) + at)


def _post(page: Page, path: str, fields: dict[str, str]) -> str:
    """Post a form as a page of the app does; returns the path to which it leads."""
    address = _address(page)
    form: dict[str, str | float | bool] = {**fields}
    answer = page.context.request.post(address + path, form=form, headers={"origin": address})
    assert answer.ok, (path, answer.text())
    return urlsplit(answer.url).path


def _address(page: Page) -> str:
    there = urlsplit(page.url)
    return f"{there.scheme}://{there.netloc}"
