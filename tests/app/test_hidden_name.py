"""Tests of the answer that the uploader must not learn the person's name."""

import re
from pathlib import Path

import httpx
import pytest

from tests.app.client import open_client
from tests.app.served import run_app
from tests.app.test_poisoned_files import open_case

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: What a browser sends for the ticked box, and for the box that is not ticked.
_TICKED, _NOT_TICKED = {"hide": ["no", "yes"]}, {"hide": ["no"]}


def _is_ticked(page: httpx.Response) -> bool:
    assert '<input type="hidden" name="hide" value="no">' in page.text
    return re.search(r'name="hide" value="yes" checked', page.text) is not None


def test_name_that_had_to_stay_hidden_may_be_known_later(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        about = f"/89/{open_case(ana)}"
        for sent, is_ticked in ((_TICKED, True), ({"place": "Spain"}, True), (_NOT_TICKED, False)):
            ana.web.post(about, data=sent)
            assert _is_ticked(ana.get(about)) is is_ticked


def test_tick_stays_when_the_app_locks_or_something_else_is_refused(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        about = f"/89/{open_case(ana)}"
        assert _is_ticked(ana.web.post(about, data={**_TICKED, "place": "Germny"}))
        ana.web.post("/2", follow_redirects=False)  # locks the app, as the automatic lock does
        ana.web.post(about, data=_TICKED)
        unlocked = ana.unlock()
        assert unlocked.url.path == about
        assert _is_ticked(unlocked)
