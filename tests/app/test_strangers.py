"""Attacks on the app by other sites, other host names and other users of the machine."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Error as PageError

from tests.app.client import open_client
from tests.app.served import chromium_program, run_app
from tests.app.walker import set_up_at_once

pytestmark = [pytest.mark.real, pytest.mark.slow]

_REQUEST_PROGRAM: Final = """
import http.client, sys
web = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
web.request("GET", sys.argv[2], headers={"cookie": sys.argv[3]} if sys.argv[3] else {})
answer = web.getresponse()
print(answer.status, len(answer.read()))
"""
_OTHER_PAGE: Final = """<!doctype html><title>Other</title>
<iframe id="frame" src="{app}/"></iframe>
<img id="image" src="{app}/static/icon.svg">
<form id="form" method="post" action="{app}/3" target="answer"></form>
<iframe name="answer"></iframe>
<a id="link" href="{app}/">Go</a>
<script>
  let read = "not read", beacon = navigator.sendBeacon("{app}/3", "x=1");
  fetch("{app}/", {{credentials: "include"}}).then(r => r.text()).then(t => read = t, () => 0);
  fetch("{app}/3", {{method: "POST", credentials: "include", mode: "no-cors"}}).catch(() => 0);
  document.getElementById("form").submit();
</script>
<script src="{app}/static/house.js" id="script" onerror="window.refused = true"></script>
"""


@contextmanager
def run_another_site(app_address: str) -> Iterator[str]:
    """Serve a page that tries to frame the app, read it, post to it and load its files; yield the
    page's URL.
    """

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(_OTHER_PAGE.format(app=app_address).encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


@pytest.mark.threat("page-other-site")
def test_another_site_can_neither_frame_nor_read_nor_post(browser: Browser, tmp_path: Path) -> None:
    """The other site gets the app's cookies from the browser, because cookies ignore ports."""
    with (
        run_app(tmp_path / "device") as app,
        browser.new_context() as context,
        run_another_site(app.address) as other,
    ):
        page = context.new_page()
        page.goto(app.link)
        set_up_at_once(page)
        elsewhere = context.new_page()
        elsewhere.goto(other)
        elsewhere.wait_for_load_state("networkidle")
        assert elsewhere.evaluate("() => read") == "not read"
        assert elsewhere.evaluate("() => window.refused")
        assert elsewhere.locator("#image").evaluate("it => it.naturalWidth") == 0
        assert not any("Leave quickly" in frame.content() for frame in elsewhere.frames[1:])
        with elsewhere.expect_response(f"{app.address}/") as answered:
            elsewhere.get_by_role("link", name="Go").click()
        assert answered.value.status == HTTPStatus.FORBIDDEN
        page.reload()
        assert page.get_by_role("button", name="Lock").is_visible(), "no post was accepted"


@pytest.mark.threat("page-other-site")
def test_dns_rebinding_is_refused(browser: Browser, tmp_path: Path) -> None:
    """The browser resolves the host name of a foreign site to this machine."""
    rules = "--host-resolver-rules=MAP pages.example 127.0.0.1"
    arguments = ["--no-sandbox", rules]
    with (
        run_app(tmp_path / "device") as app,
        closing(
            browser.browser_type.launch(executable_path=chromium_program(), args=arguments)
        ) as fooled,
    ):
        port = app.address.rpartition(":")[2]
        for path in ("/", f"/enter/{app.link.rpartition('/')[2]}", "/static/house.js"):
            page = fooled.new_page()
            with (
                page.expect_response(lambda answer: port in answer.url) as answered,
                suppress(PageError),  # the browser raises an error for an answer without content
            ):
                page.goto(f"http://pages.example:{port}{path}")
            assert answered.value.status == HTTPStatus.FORBIDDEN
            assert "set-cookie" not in answered.value.headers
        page = fooled.new_page()
        page.goto(app.link)
        page.get_by_role("heading", name="What would you like to do?").wait_for()


@pytest.mark.threat("page-other-user")
def test_another_user_of_this_machine_gets_nothing(tmp_path: Path) -> None:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or pytest.skip("no python3")
    with run_app(tmp_path / "device") as app:
        address, port = app.address, app.address.rpartition(":")[2]

        def request_as_nobody(path: str, cookie: str = "") -> str:
            return subprocess.check_output(
                [python, "-I", "-c", _REQUEST_PROGRAM, port, path, cookie],
                user="nobody",
                cwd="/",
                text=True,
            )

        assert request_as_nobody(app.link.removeprefix(address)) == "403 0\n"
        with open_client(app) as ana:  # the other user's request did not use up the link
            cookie = "; ".join(f"{name}={value}" for name, value in ana.web.cookies.items())
        assert cookie
        assert request_as_nobody("/", cookie) == "403 0\n"
