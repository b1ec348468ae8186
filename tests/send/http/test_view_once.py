"""A view-once message is viewed in a real browser, and leaves nothing on the disk."""

import base64
import io
import json
import os
import queue
import socket
import subprocess
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from entrenous.base.errors import TakenBack
from entrenous.send.http import view_once
from tests.send.commands.changed_sender import TO_BEN, send_raw_files
from tests.send.commands.hostile_files import HTML, SHELL, honest
from tests.send.commands.test_letters import Said, Street
from tests.send.http.chromium import Browser, chromium

pytestmark = pytest.mark.real

KINDS = ("image/jpeg", "video/mp4", "audio/ogg")
TEXT = "only for your eyes, 7 o'clock"
VEILS = "document.querySelectorAll('.veil').length"
VISIBILITY = (
    "getComputedStyle(document.querySelectorAll('.veil')[{at}].firstElementChild).visibility"
)
LOADED = (
    "[...document.images].every(one => one.complete && one.naturalWidth > 0) && "
    "[...document.querySelectorAll('video, audio')].every(one => one.readyState >= 2)"
)
MIDDLE = (
    "(() => {{ const veil = document.querySelectorAll('.veil')[{at}]; veil.scrollIntoView();"
    " const box = veil.getBoundingClientRect();"
    " return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
)


@pytest.fixture
def street(
    street: Street, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Street:
    """Give the street its own folder for temporary files, and shorten the page's timeouts."""
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(
        view_once, "_SHOW_BUTTON_TIMEOUT_S", 60
    )  # a failing test should not wait for long
    monkeypatch.setattr(view_once, "VIEW_PAGE_SECONDS", 60)
    return street


class OpenInBrowser:
    """Ben's command ``open``, with a thread in the place of his browser."""

    def __init__(self, street: Street, name: str) -> None:
        self._street, self._name = street, name
        self._addresses = queue.Queue[str]()
        street.monkeypatch.setenv("DISPLAY", ":9")
        street.monkeypatch.setattr(webbrowser, "open", self._addresses.put)

    def run(self, visit: Callable[[str], object]) -> Said:
        """Run the command while ``does`` visits its address, and return the command's output."""
        done: Future[object] = Future()

        def run() -> None:
            try:
                done.set_result(visit(self._addresses.get(timeout=60)))
            except BaseException as error:  # noqa: BLE001 -- raised again below
                done.set_exception(error)

        thread = threading.Thread(target=run)
        thread.start()
        result = self._street.types("ben", "open", self._name)
        thread.join()
        done.result()
        return result


def send_view_once(street: Street, *more: str) -> str:
    files = [(kind, honest()[kind]) for kind in KINDS]
    return send_raw_files(street, files, "--once", *more, text=TEXT)


def needles() -> list[bytes]:
    """Return pieces of the message in every encoding in which a program could store them."""
    found = [TEXT.encode(), TEXT.encode("utf-16-le"), json.dumps(TEXT).encode()]
    for kind in KINDS:
        data = honest()[kind]
        pieces = [data[at : at + 32] for at in range(600, len(data) - 40, len(data) // 12)]
        found += pieces
        found += [base64.b64encode(data[600 + shift : 696 + shift]) for shift in range(3)]
    with Image.open(io.BytesIO(honest()["image/jpeg"])) as image:
        for mode in ("RGB", "RGBA"):
            rows = np.asarray(image.convert(mode))
            orders = (rows, rows[:, :, [2, 1, 0, *range(3, rows.shape[2])]])
            found += [one[40, 20:36].tobytes() for one in orders]
    return found


def leftovers(*folders: Path) -> list[Path]:
    """Return the files that contain any part of the message."""
    pieces = needles()
    every = [path for folder in folders for path in folder.rglob("*")]
    return [
        path
        for path in every
        if path.is_file() and any(piece in path.read_bytes() for piece in pieces)
    ]


def visibility(browser: Browser, at: int) -> str:
    return str(browser.evaluate(VISIBILITY.format(at=at)))


@pytest.mark.threat("view-once-left-behind")
def test_view_is_veiled_until_held_and_leaves_no_file(
    street: Street, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One view ends by the button and one by the keyboard; the third page runs no scripts."""
    profile = tmp_path_factory.mktemp("profile")
    with chromium(profile) as browser:
        for view in (_unveil_each_and_leave, _leave_by_keyboard, _view_without_scripts):
            name = send_view_once(street)
            result = OpenInBrowser(street, name).run(partial(view, browser))
            assert (result.status, TEXT in result.out + result.err) == (0, False)
            assert f"{name}  from ana, used up" in street.types("ben", "inbox").out
            assert street.types("ben", "open", name).status == 3
    assert leftovers(street.folder, profile, Path(tempfile.gettempdir())) == []


def _unveil_each_and_leave(browser: Browser, address: str) -> None:
    _press_show(browser, address)
    for at in range(4):
        middle = browser.evaluate(MIDDLE.format(at=at))
        veiled = browser.screenshot()
        browser.mouse("mousePressed", middle)
        assert [visibility(browser, other) for other in range(4)] == [
            "visible" if other == at else "hidden" for other in range(4)
        ]
        assert browser.screenshot() != veiled
        browser.mouse("mouseReleased", middle)
        assert visibility(browser, at) == "hidden"
    browser.evaluate("document.getElementById('leave').click()")
    _check_blank(browser)


def _leave_by_keyboard(browser: Browser, address: str) -> None:
    _press_show(browser, address)
    for _ in range(3):
        browser.key("Shift")
    _check_blank(browser)


def _view_without_scripts(browser: Browser, address: str) -> None:
    browser.set_scripts(on=False)
    browser.navigate(address)
    browser.press("#show")
    veil = browser.wait_for(".veil")  # the text
    veiled = browser.screenshot()
    browser.mouse("mousePressed", veil)
    assert browser.screenshot() != veiled
    browser.mouse("mouseReleased", veil)
    browser.press("#leave")
    browser.wait_until_gone("#leave")


def _press_show(browser: Browser, address: str) -> None:
    browser.navigate(address)
    assert browser.evaluate("document.title") == "Page"
    browser.evaluate("document.getElementById('show').click()")
    browser.wait_until(f"{VEILS} === 4 && {LOADED}")
    assert [visibility(browser, at) for at in range(4)] == ["hidden"] * 4


def _check_blank(browser: Browser) -> None:
    browser.wait_until("location.href === 'about:blank'")
    assert browser.evaluate("document.body.innerText") == ""


def test_leftover_search_finds_exported_files(street: Street) -> None:
    """This proves that ``leftovers``, which other tests expect to be empty, finds files at all."""
    name = send_view_once(street, "--allow-export")
    assert leftovers(street.folder, Path(tempfile.gettempdir())) == []
    files = street.does("ben", "open", name, "--export", "--out", "kept")["files"]
    assert sorted(leftovers(street.folder)) == sorted(street.folder / file for file in files)


@pytest.mark.threat("view-once-left-behind")
def test_the_relay_is_not_asked_before_show_is_pressed(street: Street) -> None:
    name, asked = send_view_once(street), list[str]()

    def taken_back(*_: object) -> None:
        asked.append(name)
        raise TakenBack

    def visit(address: str) -> None:
        with httpx.Client() as client:
            show = _show_target(client.get(address))
            assert asked == []
            answer = client.post(httpx.URL(address).join(show))
            assert (answer.status_code, "took" in answer.text, TEXT in answer.text) == (
                409,
                True,
                False,
            )

    with street.courier.playing(open_share=taken_back):
        result = OpenInBrowser(street, name).run(visit)
    assert (result.status, asked) == (3, [name])


def test_message_stays_unopened_without_pressing_show(street: Street) -> None:
    name = send_view_once(street)

    def leave(address: str) -> None:
        with httpx.Client() as client:
            end = _show_target(client.get(address)).replace("/show", "/end")
            client.post(httpx.URL(address).join(end))

    result = OpenInBrowser(street, name).run(leave)
    assert (result.status, "was not opened" in result.err) == (3, True)
    assert "waiting, opens once" in street.types("ben", "inbox").out


def test_view_that_did_not_load_may_be_repeated(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_once, "_LOAD_TIMEOUT_S", 0.1)
    name = send_view_once(street)
    result = OpenInBrowser(street, name).run(lambda address: _load_files(address, files=0))
    assert (result.status, "does not count as opened" in " ".join(result.err.split())) == (3, True)
    monkeypatch.setattr(view_once, "_LOAD_TIMEOUT_S", 60)
    assert (
        OpenInBrowser(street, name).run(lambda address: _load_files(address, files=3)).status == 0
    )
    assert "used up" in street.types("ben", "inbox").out


@pytest.mark.threat("view-once-left-behind")
def test_strangers_get_nothing_from_the_address(street: Street) -> None:
    name = send_view_once(street)

    def try_as_strangers(address: str) -> None:
        url = urlsplit(address)
        with httpx.Client(base_url=f"{url.scheme}://{url.netloc}") as client:
            for headers in (
                {"host": f"localhost:{url.port}"},
                {"host": "rebound.example"},
                {"sec-fetch-site": "cross-site"},
                {"sec-fetch-site": "same-site"},
            ):
                assert client.get(url.path, headers=headers).status_code == 403
            assert _status_as_other_user(url.port or 0, url.path) in {None, 403}
            assert client.get("/").status_code == 404
            cover = client.get(url.path)
            assert cover.status_code == 200
            assert client.get(url.path).status_code == 410
            show = _show_target(cover)
            shown = client.post(show)
            assert TEXT.replace("'", "&#39;") in shown.text
            assert client.post(show).status_code == 410
            inside = show.removesuffix("/show")
            files = [client.get(f"{inside}/{number}") for number in range(1, 5)]
            assert [file.status_code for file in files] == [200, 200, 200, 404]
            assert [file.content for file in files[:3]] == [honest()[kind] for kind in KINDS]
            part = client.get(f"{inside}/2", headers={"range": "bytes=4-7"})
            assert (part.status_code, part.content) == (206, honest()[KINDS[1]][4:8])
            for answer in (cover, shown, *files, part):
                assert answer.headers["cache-control"] == "no-store"
                assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
                assert "set-cookie" not in answer.headers
            client.post(f"{inside}/end")

    address = []
    result = OpenInBrowser(street, name).run(
        lambda one: (address.append(one), try_as_strangers(one))
    )
    assert result.status == 0
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect(("127.0.0.1", urlsplit(address[0]).port))


def test_unsupported_file_is_not_shown(street: Street) -> None:
    name = send_raw_files(street, [("image/jpeg", b"\xff\xd8\xff\xe0" + SHELL + HTML)], "--once")

    def visit(address: str) -> None:
        with httpx.Client() as client:
            answer = client.post(httpx.URL(address).join(_show_target(client.get(address))))
            assert (answer.status_code, "script" in answer.text.split("</head>")[1]) == (409, False)

    result = OpenInBrowser(street, name).run(visit)
    assert (result.status, "no part of the message was shown" in " ".join(result.err.split())) == (
        7,
        True,
    )


@pytest.mark.threat("view-once-left-behind")
@pytest.mark.parametrize("typed", [("--out", "kept"), ("--json",), ("--export", "--out", "kept")])
def test_nothing_is_written_that_was_not_allowed(street: Street, typed: tuple[str, ...]) -> None:
    name = send_view_once(street)
    result = street.types("ben", "open", name, *typed)
    assert (result.status, result.out, (street.folder / "kept").exists()) == (3, "", False)
    assert f"entrenous open {name}" in result.err
    assert leftovers(street.folder) == []
    assert "waiting, opens once" in street.types("ben", "inbox").out


def test_allow_export_without_once_is_refused(street: Street) -> None:
    assert street.types("ana", "send", "--text", "x", *TO_BEN, "--allow-export").status == 2


def _show_target(cover: httpx.Response) -> str:
    """Return the target of the page's Show button."""
    return cover.text.split('action="')[2].split('"')[0]


def _load_files(address: str, files: int) -> None:
    """Press Show and load this many files; then leave, unless there are none."""
    with httpx.Client() as client:
        show = _show_target(client.get(address))
        client.post(httpx.URL(address).join(show))
        for number in range(1, files + 1):
            client.get(httpx.URL(address).join(show.replace("show", str(number))))
        if files:
            client.post(httpx.URL(address).join(show.replace("show", "end")))


def _status_as_other_user(port: int, path: str) -> int | None:
    """Return the status of a request by another local user, or None if we are not root."""
    if os.getuid():
        return None
    asks = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{asks}' >&3; head -1 <&3"
    answer = subprocess.run(
        ["/bin/bash", "-c", script], user=65534, cwd="/", capture_output=True, check=True
    )
    return int(answer.stdout.split()[1])
