"""The page of a message that opens once: the view ends when the page is left, or after a time."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from entrenous.app.login import Login
from entrenous.app.pages import opening
from entrenous.app.server import make_browser_app
from entrenous.base.environment import Settings
from entrenous.base.identifiers import RecipientId
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.people.block import set_receipts
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.send import send_message
from entrenous.serving.http_server import listening_socket, make_server, url_of
from tests.app.client import Client, wait_for_job
from tests.app.friends import create_device_without_browser, run_relay
from tests.app.served import TIMEOUT_S
from tests.send.send_device import SMALL_PICTURE

pytestmark = [pytest.mark.real, pytest.mark.slow]

_MESSAGE_COUNT = 12
_POLL_INTERVAL_S = 0.1
#: What a browser sends when it loads a page, but not when it loads a picture or runs a script.
_LOADS_A_PAGE = {"sec-fetch-dest": "document"}
_GONE = 409  # the status of ShownAlready


@dataclass(frozen=True)
class _View:
    """A message that Ana is looking at: the paths of its page and of its picture."""

    page: str
    picture: str


@pytest.fixture(scope="module")
def ana(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Ana's browser; Ben has sent her messages that open once."""
    folder = tmp_path_factory.mktemp("friends")
    with run_relay(folder) as relay:
        _send_messages(folder, relay.url)
        with _run_app_in_thread(folder / "ana") as client:
            assert client.unlock().status_code == httpx.codes.OK
            yield client
            client.post("/2")


def _send_messages(folder: Path, relay: str) -> None:
    with (
        create_device_without_browser(folder / "ana", "Ana", relay) as ana,
        create_device_without_browser(folder / "ben", "Ben", relay) as ben,
    ):
        add_person(make_invite_link(ana, name="Ben"), "Ana", ben)
        for device in (ben, ana, ben):
            flush_outbox(device)
            fetch_messages(device)
        set_receipts("Ben", ana, wanted=False)
        to, policy = (RecipientId("Ana"),), MessagePolicy(ben.clock.now() + timedelta(days=7), 1)
        draft = Draft((SMALL_PICTURE,), to, policy, "look once", confirmed=frozenset({"Ana"}))
        for _ in range(_MESSAGE_COUNT):
            send_message(draft, ben)
        fetch_messages(ana)


@contextmanager
def _run_app_in_thread(home: Path) -> Iterator[Client]:
    """Serve the app in a thread of the test, which can shorten the time of a view."""
    login = Login()
    with listening_socket("127.0.0.1", 0) as listening:
        server = make_server(make_browser_app(Settings(home, pause_s=0), login, listening))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        address = url_of(listening)
        with httpx.Client(
            base_url=address, headers={"origin": address}, follow_redirects=True, timeout=TIMEOUT_S
        ) as web:
            assert web.get(f"/enter/{login.link}").status_code == httpx.codes.OK
            yield Client(web)
        server.should_exit = True
        thread.join()


def _conversation(ana: Client) -> str:
    return _first_match('href="(/41/[^"]+)"', ana.get("/40"))


def _unseen_messages(ana: Client) -> list[str]:
    return re.findall('action="(/44/[^"]+)"', ana.get(_conversation(ana)).text)


def _look_at_message(ana: Client) -> _View:
    """Press *See it once* and *Show*, as a browser does that does not load the picture yet."""
    cover = wait_for_job(ana, ana.post(_unseen_messages(ana)[0]))
    shown = ana.web.post(cover.url.path, headers=_LOADS_A_PAGE)
    assert "look once" in shown.text
    return _View(cover.url.path, _first_match('src="(/45/[^"]+)"', shown))


def _first_match(pattern: str, answer: httpx.Response) -> str:
    found = re.search(pattern, answer.text)
    assert found is not None, answer.text
    return found[1]


def _load_page(ana: Client, path: str) -> httpx.Response:
    return ana.web.get(path, headers=_LOADS_A_PAGE)


@pytest.mark.parametrize(
    "leave",
    [
        lambda ana, _: _load_page(ana, "/"),
        lambda ana, view: _load_page(ana, view.page),
        lambda ana, view: ana.web.post(view.page, headers=_LOADS_A_PAGE),
        lambda ana, view: ana.post(f"{view.page}/end", {"left": "yes"}),
        lambda ana, view: ana.post(f"{view.page}/end"),
    ],
    ids=["another page", "the page before", "loaded anew", "script", "done"],
)
def test_leaving_the_page_ends_the_view(
    ana: Client, leave: Callable[[Client, _View], httpx.Response]
) -> None:
    unseen, view = len(_unseen_messages(ana)), _look_at_message(ana)
    assert [ana.get(view.picture).status_code for _ in range(2)] == [httpx.codes.OK] * 2
    leave(ana, view)
    assert ana.get(view.picture).status_code == _GONE
    assert ana.web.post(view.page).status_code == _GONE
    assert len(_unseen_messages(ana)) == unseen - 1


def test_leaving_before_the_picture_was_loaded_uses_up_nothing(ana: Client) -> None:
    unseen, view = len(_unseen_messages(ana)), _look_at_message(ana)
    began = time.monotonic()
    _load_page(ana, "/")
    assert time.monotonic() - began < opening.VIEW_PAGE_SECONDS / 20  # no wait for the picture
    assert ana.get(view.picture).status_code == _GONE
    assert len(_unseen_messages(ana)) == unseen


def test_requests_of_scripts_do_not_end_the_view(ana: Client) -> None:
    """Another tab of the browser shows a page that updates itself."""
    view = _look_at_message(ana)
    assert ana.get(view.picture).status_code == httpx.codes.OK
    assert ana.web.get("/40", headers={"x-live": "1"}).status_code == httpx.codes.OK
    assert ana.get(view.picture).status_code == httpx.codes.OK
    ana.post(f"{view.page}/end")


def test_the_view_ends_after_a_time(ana: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opening.VIEW_PAGE_SECONDS == 600
    monkeypatch.setattr(opening, "VIEW_PAGE_SECONDS", 3)
    view = _look_at_message(ana)
    assert ana.get(view.picture).status_code == httpx.codes.OK
    _wait_until_gone(ana, view.picture)


@pytest.mark.parametrize("way", ["tab closed", "ten minutes", "no script"])
def test_leaving_the_page_in_a_browser_ends_the_view(
    ana: Client, browser: Browser, way: str
) -> None:
    cookie = {"name": "page", "value": ana.web.cookies["page"], "url": str(ana.web.base_url)}
    with browser.new_context(java_script_enabled=way != "no script") as context:
        context.add_cookies([cookie])  # type: ignore[list-item] - the parts that are needed
        page = context.new_page()
        page.clock.install()
        picture = _look_in_browser(page, f"{cookie['url']}{_conversation(ana)}")
        assert ana.get(picture).status_code == httpx.codes.OK
        if way == "tab closed":
            page.close(run_before_unload=True)
        elif way == "ten minutes":
            page.clock.fast_forward(600_000)
            page.wait_for_url("**/41/*")
        else:
            page.get_by_role("link", name="Start", exact=True).click()
        _wait_until_gone(ana, picture)


def _look_in_browser(page: Page, conversation: str) -> str:
    """Look at a message in the browser, and return the path of its picture."""
    page.goto(conversation)
    page.get_by_role("button", name="See it once").first.click()
    page.get_by_role("button", name="Show", exact=True).click()
    picture = page.get_by_alt_text("A picture in this message").get_attribute("src")
    page.wait_for_load_state()
    return picture or ""


def _wait_until_gone(ana: Client, picture: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while (status := ana.get(picture).status_code) != _GONE:
        assert (status, time.monotonic() < deadline) == (httpx.codes.OK, True)
        time.sleep(_POLL_INTERVAL_S)
