"""Tests of refused requests, of locking, and of the check for violations of a security policy."""

from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.app.client import open_client, wait_for_job
from tests.app.served import RunningApp, open_page, run_app, unlock
from tests.app.states import large_picture, save_photograph
from tests.app.walker import set_up_at_once

pytestmark = pytest.mark.real


def _send_request(app: RunningApp, method: str, path: str, **headers: str) -> tuple[int, str]:
    sent_headers = {name.replace("_", "-"): to for name, to in headers.items()}
    with closing(_open_connection(app)) as web:
        web.request(method, path, headers=sent_headers)
        answer = web.getresponse()
        return answer.status, answer.read().decode()


def _get_cookie(app: RunningApp) -> str:
    with closing(_open_connection(app)) as web:
        web.request("GET", urlsplit(app.link).path)
        return str(web.getresponse().headers["set-cookie"]).partition(";")[0]


def _open_connection(app: RunningApp) -> HTTPConnection:
    address = urlsplit(app.address)
    return HTTPConnection(address.hostname or "", address.port or 0, timeout=60)


@pytest.mark.threat("page-other-user")
def test_only_the_first_browser_with_the_link_is_let_in(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app:
        assert _send_request(app, "GET", "/")[0] == 403
        assert _send_request(app, "GET", "/enter/" + "A" * 43)[0] == 403
        cookie = _get_cookie(app)
        assert _send_request(app, "GET", "/", cookie=cookie)[0] == 200
        assert _send_request(app, "GET", urlsplit(app.link).path)[0] == 403
        assert _send_request(app, "GET", "/", cookie=cookie + "x")[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "pages.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
    ids=["rebound-name", "cross-site", "same-site"],
)
def test_other_host_name_or_other_site_is_refused(headers: dict[str, str], tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app:
        cookie = _get_cookie(app)
        assert _send_request(app, "GET", "/", cookie=cookie, **headers)[0] == 403


@pytest.mark.threat("page-other-site")
def test_form_from_another_origin_is_refused(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app:
        cookie = _get_cookie(app)
        assert _send_request(app, "POST", "/3", cookie=cookie)[0] == 403
        assert (
            _send_request(app, "POST", "/3", cookie=cookie, origin="http://127.0.0.1:1")[0] == 403
        )
        assert _send_request(app, "POST", "/3", cookie=cookie, origin=app.address)[0] == 200


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/..%2f..%2fetc/passwd", "//etc"]
)
def test_no_path_leads_out_of_the_pages(path: str, tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app:
        status, text = _send_request(app, "GET", path, cookie=_get_cookie(app))
        assert status == 404
        assert "import" not in text


@pytest.mark.threat("page-loses-nothing")
def test_what_was_typed_survives_a_lock(browser: Browser, tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        set_up_at_once(page)
        page.get_by_role("link", name="Send something").click()
        page.get_by_label("Picture, clip or recording").set_input_files(
            {"name": "note.txt", "mimeType": "text/plain", "buffer": b"not a picture"}
        )
        page.get_by_label("Who gets a copy? Write one name on each line").fill("Zelda")
        page.evaluate("fetch('/2', {method: 'POST'})")
        page.get_by_role("button", name="Make the copies").click()
        unlock(page)
        assert (
            page.get_by_label("Who gets a copy? Write one name on each line").input_value()
            == "Zelda"
        )


@pytest.mark.threat("page-seen-by-somebody")
def test_leaving_quickly_locks_and_blanks(browser: Browser, tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        set_up_at_once(page)
        page.get_by_role("link", name="Send something").click()
        page.wait_for_load_state()
        for _ in range(3):
            page.keyboard.press("Shift")
        expect(page).to_have_url("about:blank")
        page.go_back()
        assert page.get_by_label("Who gets a copy? Write one name on each line").count() == 0
        page.goto(app.address)
        assert page.get_by_role("link", name="Unlock").is_visible()


def test_results_need_the_passphrase_again_while_work_runs_after_a_lock(tmp_path: Path) -> None:
    """A running job keeps the vault from being closed at once."""
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        upload = [("file", ("photo.jpg", save_photograph(tmp_path).read_bytes(), "image/jpeg"))]
        made = wait_for_job(ana, ana.post("/20", {"names": "Zelda"}, upload)).url.path
        assert ana.get(f"{made}/1").headers["content-type"] == "image/jpeg"
        work = ana.post("/30", {}, [large_picture(number) for number in range(4)]).url.path
        ana.web.post("/2", follow_redirects=False)
        assert ana.get(made).url.path == "/1"
        assert ana.get(f"{made}/1").url.path == "/1"
        assert ana.get(work).url.path == work, "the work still runs"


def test_policy_violation_is_detected(browser: Browser, tmp_path: Path) -> None:
    """``open_page`` fails if a page violates its security policy."""
    add_script = """() => {
      const script = document.createElement("script");
      script.textContent = "hit = 1";
      document.body.append(script);
    }"""
    with run_app(tmp_path) as app, pytest.raises(AssertionError, match="Content Security"):  # noqa: SIM117
        with open_page(browser, app.link) as page, page.expect_console_message():
            page.evaluate(add_script)
