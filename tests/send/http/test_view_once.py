"""Tests of viewing a view-once message in a browser, of files left behind, and of exports."""

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
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from entrenous.base.errors import TakenBack
from entrenous.send.http import view_once
from entrenous.send.http.view_once import ViewedContent, ViewSession
from entrenous.send.letter.letter_nouns import ContentFile, FileRole
from entrenous.send.message.states import ViewNotCompleted
from tests.send.commands.changed_sender import TO_BEN, send_raw_files
from tests.send.commands.hostile_files import HTML_SCRIPT, SHELL_SCRIPT, valid_copies
from tests.send.commands.test_letters import CommandLine, CommandResult
from tests.send.http.chromium import Browser, start_chromium
from tests.village.malicious_relay import HonestCall

pytestmark = pytest.mark.real

MEDIA_TYPES = ("image/jpeg", "video/mp4", "audio/ogg")
MESSAGE_TEXT = "only for your eyes, 7 o'clock"
VEIL_COUNT_SCRIPT = "document.querySelectorAll('.veil').length"
VISIBILITY_SCRIPT = (
    "getComputedStyle(document.querySelectorAll('.veil')[{index}].firstElementChild).visibility"
)
MEDIA_LOADED_SCRIPT = (
    "[...document.images].every(one => one.complete && one.naturalWidth > 0) && "
    "[...document.querySelectorAll('video, audio')].every(one => one.readyState >= 2)"
)
VEIL_CENTRE_SCRIPT = (
    "(() => {{ const veil = document.querySelectorAll('.veil')[{index}]; veil.scrollIntoView();"
    " const box = veil.getBoundingClientRect();"
    " return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
)


@pytest.fixture
def cli(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> CommandLine:
    """Use a separate folder for temporary files, and shorten the page's timeouts."""
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    # A failing test should not wait for long.
    monkeypatch.setattr(view_once, "_SHOW_BUTTON_TIMEOUT_S", 60)
    monkeypatch.setattr(view_once, "VIEW_PAGE_SECONDS", 60)
    return cli


class OpenCommand:
    """Ben's command ``open``; a function of the test visits the page in place of a browser."""

    def __init__(self, cli: CommandLine, name: str) -> None:
        self._cli, self._name = cli, name
        self._addresses = queue.Queue[str]()
        cli.monkeypatch.setenv("DISPLAY", ":9")
        cli.monkeypatch.setattr(webbrowser, "open", self._addresses.put)

    def run(self, visit: Callable[[str], object]) -> CommandResult:
        """Run the command while a thread calls ``visit`` with the page's address."""
        done: Future[object] = Future()

        def run() -> None:
            try:
                done.set_result(visit(self._addresses.get(timeout=60)))
            except BaseException as error:  # noqa: BLE001 -- raised again below
                done.set_exception(error)

        thread = threading.Thread(target=run)
        thread.start()
        result = self._cli.run("ben", "open", self._name)
        thread.join()
        done.result()
        return result


def send_view_once(cli: CommandLine, *more: str) -> str:
    files = [(media_type, valid_copies()[media_type]) for media_type in MEDIA_TYPES]
    return send_raw_files(cli, files, "--once", *more, text=MESSAGE_TEXT)


def message_fragments() -> list[bytes]:
    """Return fragments of the message in several encodings that a program may store."""
    fragments = [
        MESSAGE_TEXT.encode(),
        MESSAGE_TEXT.encode("utf-16-le"),
        json.dumps(MESSAGE_TEXT).encode(),
    ]
    for media_type in MEDIA_TYPES:
        data = valid_copies()[media_type]
        fragments += [
            data[index : index + 32] for index in range(600, len(data) - 40, len(data) // 12)
        ]
        fragments += [base64.b64encode(data[600 + shift : 696 + shift]) for shift in range(3)]
    with Image.open(io.BytesIO(valid_copies()["image/jpeg"])) as image:
        for mode in ("RGB", "RGBA"):
            rows = np.asarray(image.convert(mode))
            orders = (rows, rows[:, :, [2, 1, 0, *range(3, rows.shape[2])]])
            fragments += [one[40, 20:36].tobytes() for one in orders]
    return fragments


def files_with_fragments(*folders: Path) -> list[Path]:
    """Return the files that contain a fragment of the message."""
    fragments = message_fragments()
    paths = [path for folder in folders for path in folder.rglob("*")]
    return [
        path
        for path in paths
        if path.is_file() and any(fragment in path.read_bytes() for fragment in fragments)
    ]


def veil_visibility(browser: Browser, index: int) -> str:
    return str(browser.evaluate(VISIBILITY_SCRIPT.format(index=index)))


@pytest.mark.threat("view-once-left-behind")
def test_view_once_content_is_veiled_and_leaves_no_file(
    cli: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The recipient ends the first view with a button and the second view with a key. The browser
    shows the third view without scripts.
    """
    profile = tmp_path_factory.mktemp("profile")
    with start_chromium(profile) as browser:
        for view in (_unveil_each_and_leave, _leave_by_keyboard, _view_without_scripts):
            name = send_view_once(cli)
            result = OpenCommand(cli, name).run(partial(view, browser))
            assert (result.status, MESSAGE_TEXT in result.out + result.err) == (0, False)
            assert f"{name}  from ana, used up" in cli.run("ben", "inbox").out
            assert cli.run("ben", "open", name).status == 3
    assert files_with_fragments(cli.folder, profile, Path(tempfile.gettempdir())) == []


def _unveil_each_and_leave(browser: Browser, address: str) -> None:
    _show_message(browser, address)
    for index in range(4):
        middle = browser.evaluate(VEIL_CENTRE_SCRIPT.format(index=index))
        veiled = browser.screenshot()
        browser.send_mouse_event("mousePressed", middle)
        assert [veil_visibility(browser, other) for other in range(4)] == [
            "visible" if other == index else "hidden" for other in range(4)
        ]
        assert browser.screenshot() != veiled
        browser.send_mouse_event("mouseReleased", middle)
        assert veil_visibility(browser, index) == "hidden"
    browser.evaluate("document.getElementById('leave').click()")
    _assert_blank_page(browser)


def _leave_by_keyboard(browser: Browser, address: str) -> None:
    _show_message(browser, address)
    for _ in range(3):
        browser.press_key("Shift")
    _assert_blank_page(browser)


def _view_without_scripts(browser: Browser, address: str) -> None:
    browser.set_scripts_enabled(on=False)
    browser.navigate(address)
    browser.click("#show")
    veil = browser.wait_for(".veil")  # the first veil covers the text
    veiled = browser.screenshot()
    browser.send_mouse_event("mousePressed", veil)
    assert browser.screenshot() != veiled
    browser.send_mouse_event("mouseReleased", veil)
    browser.click("#leave")
    browser.wait_until_gone("#leave")


def _show_message(browser: Browser, address: str) -> None:
    browser.navigate(address)
    assert browser.evaluate("document.title") == "Page"
    browser.evaluate("document.getElementById('show').click()")
    browser.wait_until(f"{VEIL_COUNT_SCRIPT} === 4 && {MEDIA_LOADED_SCRIPT}")
    assert [veil_visibility(browser, index) for index in range(4)] == ["hidden"] * 4


def _assert_blank_page(browser: Browser) -> None:
    browser.wait_until("location.href === 'about:blank'")
    assert browser.evaluate("document.body.innerText") == ""


def test_fragment_search_finds_exported_files(cli: CommandLine) -> None:
    name = send_view_once(cli, "--allow-export")
    assert files_with_fragments(cli.folder, Path(tempfile.gettempdir())) == []
    files = cli.run_json("ben", "open", name, "--export", "--out", "kept")["files"]
    assert sorted(files_with_fragments(cli.folder)) == sorted(cli.folder / file for file in files)


@pytest.mark.threat("view-once-left-behind")
def test_the_relay_is_not_asked_before_show_is_pressed(cli: CommandLine) -> None:
    name, openings = send_view_once(cli), list[str]()

    def raise_taken_back(*_: object) -> None:
        openings.append(name)
        raise TakenBack

    def visit(address: str) -> None:
        with httpx.Client() as client:
            show = _show_target(client.get(address))
            assert openings == []
            answer = client.post(httpx.URL(address).join(show))
            assert (answer.status_code, "took" in answer.text, MESSAGE_TEXT in answer.text) == (
                409,
                True,
                False,
            )

    with cli.courier.replace_calls(open_share=raise_taken_back):
        result = OpenCommand(cli, name).run(visit)
    assert (result.status, openings) == (3, [name])


def test_message_stays_unopened_without_pressing_show(cli: CommandLine) -> None:
    name = send_view_once(cli)

    def leave(address: str) -> None:
        with httpx.Client() as client:
            end = _show_target(client.get(address)).replace("/show", "/end")
            client.post(httpx.URL(address).join(end))

    result = OpenCommand(cli, name).run(leave)
    assert (result.status, "was not opened" in result.err) == (3, True)
    assert "waiting, opens once" in cli.run("ben", "inbox").out


def test_view_that_did_not_load_may_be_repeated(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_once, "_LOAD_TIMEOUT_S", 0.1)
    name = send_view_once(cli)
    result = OpenCommand(cli, name).run(lambda address: _load_files(address, files=0, leave=False))
    assert (result.status, "does not count as opened" in " ".join(result.err.split())) == (3, True)
    monkeypatch.setattr(view_once, "_LOAD_TIMEOUT_S", 60)
    assert OpenCommand(cli, name).run(lambda address: _load_files(address, files=3)).status == 0
    assert "used up" in cli.run("ben", "inbox").out


def test_text_counts_as_opened_once_its_page_is_served(cli: CommandLine) -> None:
    name = send_raw_files(cli, [], "--once", text=MESSAGE_TEXT)
    assert OpenCommand(cli, name).run(lambda address: _load_files(address, files=0)).status == 0
    assert "used up" in cli.run("ben", "inbox").out


@pytest.mark.parametrize("leaves_by_button", [True, False])
def test_text_whose_reader_left_before_it_was_shown_may_be_read_later(
    cli: CommandLine, *, leaves_by_button: bool
) -> None:
    """Ben leaves the page, or closes his browser, while the relay sends the share of the key."""
    name = send_raw_files(cli, [], "--once", text=MESSAGE_TEXT)
    pressed = queue.Queue[_PressedShow]()

    def leave_before_answer(honest: HonestCall, *arguments: Any) -> Any:
        share, page = honest(*arguments), pressed.get(timeout=60)
        if leaves_by_button:
            httpx.post(page.show.replace("/show", "/end"))
        page.connection.close()
        httpx.get(page.show)  # when this is answered, the server has seen that the browser left
        return share

    with cli.courier.replace_calls(open_share=leave_before_answer):
        result = OpenCommand(cli, name).run(lambda address: pressed.put(_press_show(address)))
    assert (result.status, "does not count as opened" in " ".join(result.err.split())) == (3, True)
    assert "waiting, opens once" in cli.run("ben", "inbox").out
    assert OpenCommand(cli, name).run(lambda address: _load_files(address, files=0)).status == 0


def test_a_failed_view_gives_out_nothing_more() -> None:
    """The page got the text, but did not load the picture in time."""
    picture = ContentFile("image/jpeg", b"picture", FileRole.PICTURE)
    look = ViewSession("ana")
    look.provide_content(ViewedContent(MESSAGE_TEXT, (picture,)))
    assert look.take_content() is not None
    look.report_failure(ViewNotCompleted(name="7-lunar-otter"))
    assert (look.over.is_set(), look.take_content(), look.hand_out_file(0)) == (True, None, None)


@pytest.mark.threat("view-once-left-behind")
def test_strangers_get_nothing_from_the_address(cli: CommandLine) -> None:
    name = send_view_once(cli)

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
            assert MESSAGE_TEXT.replace("'", "&#39;") in shown.text
            assert client.post(show).status_code == 410
            inside = show.removesuffix("/show")
            files = [client.get(f"{inside}/{number}") for number in range(1, 5)]
            assert [file.status_code for file in files] == [200, 200, 200, 404]
            assert [file.content for file in files[:3]] == [
                valid_copies()[media_type] for media_type in MEDIA_TYPES
            ]
            part = client.get(f"{inside}/2", headers={"range": "bytes=4-7"})
            assert (part.status_code, part.content) == (206, valid_copies()[MEDIA_TYPES[1]][4:8])
            for answer in (cover, shown, *files, part):
                assert answer.headers["cache-control"] == "no-store"
                assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
                assert "set-cookie" not in answer.headers
            client.post(f"{inside}/end")

    address = []
    result = OpenCommand(cli, name).run(lambda one: (address.append(one), try_as_strangers(one)))
    assert result.status == 0
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect(("127.0.0.1", urlsplit(address[0]).port))


def test_unsupported_file_is_not_shown(cli: CommandLine) -> None:
    name = send_raw_files(
        cli, [("image/jpeg", b"\xff\xd8\xff\xe0" + SHELL_SCRIPT + HTML_SCRIPT)], "--once"
    )

    def visit(address: str) -> None:
        with httpx.Client() as client:
            answer = client.post(httpx.URL(address).join(_show_target(client.get(address))))
            assert (answer.status_code, "script" in answer.text.split("</head>")[1]) == (409, False)

    result = OpenCommand(cli, name).run(visit)
    assert (result.status, "no part of the message was shown" in " ".join(result.err.split())) == (
        7,
        True,
    )


@pytest.mark.threat("view-once-left-behind")
@pytest.mark.parametrize("options", [("--out", "kept"), ("--json",), ("--export", "--out", "kept")])
def test_view_once_message_is_not_exported_without_permission(
    cli: CommandLine, options: tuple[str, ...]
) -> None:
    name = send_view_once(cli)
    result = cli.run("ben", "open", name, *options)
    assert (result.status, result.out, (cli.folder / "kept").exists()) == (3, "", False)
    assert f"entrenous open {name}" in result.err
    assert files_with_fragments(cli.folder) == []
    assert "waiting, opens once" in cli.run("ben", "inbox").out


def test_allow_export_without_once_is_refused(cli: CommandLine) -> None:
    assert cli.run("ana", "send", "--text", "x", *TO_BEN, "--allow-export").status == 2


def _show_target(cover: httpx.Response) -> str:
    """Return the target of the page's Show button."""
    return cover.text.split('action="')[2].split('"')[0]


def _load_files(address: str, files: int, *, leave: bool = True) -> None:
    """Press Show and load this many files; then press Leave."""
    with httpx.Client() as client:
        show = _show_target(client.get(address))
        client.post(httpx.URL(address).join(show))
        for number in range(1, files + 1):
            client.get(httpx.URL(address).join(show.replace("show", str(number))))
        if leave:
            client.post(httpx.URL(address).join(show.replace("show", "end")))


class _PressedShow(NamedTuple):
    """The address to which *Show* was sent, and the connection that waits for the answer."""

    show: str
    connection: socket.socket


def _press_show(address: str) -> _PressedShow:
    """Press Show, and do not wait for the answer."""
    show = httpx.URL(address).join(_show_target(httpx.get(address)))
    connection = socket.create_connection((show.host, show.port or 0))
    head = f"POST {show.path} HTTP/1.1\r\nHost: {show.netloc.decode()}\r\nContent-Length: 0\r\n\r\n"
    connection.sendall(head.encode())
    return _PressedShow(str(show), connection)


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
