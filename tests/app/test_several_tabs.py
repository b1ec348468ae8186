"""Tests of an app that is open in several tabs, and of forms that are sent twice."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.app.client import Client, open_client, wait_for_job
from tests.app.served import RunningApp, run_app
from tests.app.states import TypedTexts, create_relay_and_ben, save_photograph
from tests.app.with_ben import run_app_of_ana_with_ben

pytestmark = [pytest.mark.real, pytest.mark.slow]
_LOCK_AFTER_S = 60


def test_live_inbox_in_another_tab_does_not_take_what_was_typed(tmp_path: Path) -> None:
    """The form of one tab has no page of its own; the inbox in another tab asks for news."""
    with (
        create_relay_and_ben(tmp_path, TypedTexts()) as (_, relay),
        run_app(tmp_path / "ana", ENTRENOUS_PAUSE="0") as app,
        open_client(app) as ana,
    ):
        ana.set_up(relay.url)
        ana.get("/50")
        ana.web.get("/40", headers={"x-live": "1"})
        ana.web.post("/2", follow_redirects=False)
        ana.post("/52", {"link": "entrenous:some", "name": "Zelda"})
        unlocked = ana.unlock()
        assert unlocked.url.path == "/50"
        assert "Zelda" in unlocked.text


def test_two_unlock_requests_at_once_both_unlock(tmp_path: Path) -> None:
    with (
        run_app(tmp_path / "device", ENTRENOUS_LOCKAFTER=str(_LOCK_AFTER_S)) as app,
        open_client(app) as ana,
    ):
        ana.set_up()
        ana.web.post("/2", follow_redirects=False)
        began = time.monotonic()
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda _: _unlock_in_new_tab(app, ana), range(2)))
        assert [one.url.path for one in answers] == ["/", "/"]
        assert time.monotonic() - began < _LOCK_AFTER_S / 2, "the second did not wait for a lock"


def test_second_archive_ends_the_page_of_the_first(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        first = _make_archive(ana, "orbit cactus velvet piano ladder")
        second = _make_archive(ana, "second quiet marble fox anchor")
        assert ana.get(f"{first}/file").status_code == 404
        assert ana.get(f"{second}/file").content.startswith(b"PK")


def test_removal_of_a_file_that_is_sent_twice_removes_one_file(tmp_path: Path) -> None:
    data = save_photograph(tmp_path).read_bytes()
    upload = [("file", (f"{number}.jpg", data, "image/jpeg")) for number in range(3)]
    with run_app_of_ana_with_ben(tmp_path) as both:
        review = both.ana.get(both.write("some words", upload)).text
        form = re.search(r'action="(/14/[^"]+)">(?:<input[^>]* value="([^"]+)">)?', review)
        assert form is not None
        for _ in range(2):
            left = both.ana.post(form[1], {"file": form[2] or "", "sure": "yes"})
        assert re.findall(r"<bdi>(\d)\.jpg", left.text) == ["1", "2"]


def test_erased_page_that_is_loaded_again_says_nothing_of_the_mailbox(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        assert "is closed too" in ana.post("/114", {"word": "erase"}).text
        again = ana.post("/114", {"word": "erase"}).text
        assert "Everything was erased" in again
        assert "mailbox" not in again


def _unlock_in_new_tab(app: RunningApp, ana: Client) -> httpx.Response:
    with httpx.Client(
        base_url=app.address,
        headers={"origin": app.address},
        cookies=dict(ana.web.cookies),
        follow_redirects=True,
        timeout=2 * _LOCK_AFTER_S,
        trust_env=False,
    ) as web:
        return Client(web).unlock()


def _make_archive(ana: Client, passphrase: str) -> str:
    made = wait_for_job(ana, ana.post("/112", {"passphrase": passphrase, "again": passphrase}))
    return made.url.path
