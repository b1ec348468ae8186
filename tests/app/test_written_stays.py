"""Tests of a message that is being written while the app locks: all of it stays."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.client import Client, Files, open_client
from tests.app.friends import create_contacts, run_relay
from tests.app.served import run_app
from tests.app.states import save_photograph

pytestmark = [pytest.mark.real, pytest.mark.slow]

_MESSAGE = {"text": "TEXTZELDA", "to": "Ben", "days": "7"}
_HAS_FILE = "1 file is in it already."


@pytest.fixture
def ana(tmp_path: Path) -> Iterator[Client]:
    """Ana's unlocked app; Ben is a contact."""
    with run_relay(tmp_path) as relay:
        create_contacts(tmp_path, relay.url, relay.url)
        with run_app(tmp_path / "ana", ENTRENOUS_PAUSE="0") as app, open_client(app) as client:
            client.unlock()
            yield client


def _lock(ana: Client) -> None:
    ana.web.post("/2", follow_redirects=False)  # locks the app, as the automatic lock does


def _picture(folder: Path) -> Files:
    return [("file", ("photo.jpg", save_photograph(folder).read_bytes(), "image/jpeg"))]


def _draft_in_form(shown: httpx.Response) -> dict[str, str]:
    found = re.search(r'name="draft" value="([^"]+)"', shown.text)
    return {"draft": found[1]} if found else {}


def test_a_draft_that_is_changed_keeps_its_picture_when_the_app_locks(
    ana: Client, tmp_path: Path
) -> None:
    draft = ana.post("/10", _MESSAGE, _picture(tmp_path)).url.path.removeprefix("/11/")
    assert _HAS_FILE in ana.get(f"/10?draft={draft}").text
    _lock(ana)
    ana.post("/10", {**_MESSAGE, "text": "CHANGED", "draft": draft})
    form = ana.unlock()
    assert "CHANGED" in form.text
    assert _HAS_FILE in form.text
    review = ana.post("/10", {**_MESSAGE, "text": "CHANGED", **_draft_in_form(form)})
    assert review.url.path == f"/11/{draft}"
    assert "Picture 1" in review.text
    assert ana.get("/").text.count('href="/11/') == 1


def test_pages_of_a_person_and_of_a_draft_return_after_unlock(ana: Client) -> None:
    people = ana.get("/50")
    person = re.search(r'href="(/53/[^"]+)"', people.text)
    assert person is not None, people.text
    review = ana.post("/10", _MESSAGE).url.path
    for page in (person[1], review):
        _lock(ana)
        assert ana.get(page).url.path == "/1"
        assert ana.unlock().url.path == page


def test_a_message_stays_if_the_person_goes_back_before_unlocking(ana: Client) -> None:
    _lock(ana)
    assert ana.post("/10", _MESSAGE).url.path == "/1"
    assert ana.get("/10").url.path == "/1"
    unlocked = ana.unlock()
    assert unlocked.url.path == "/10"
    assert "TEXTZELDA" in unlocked.text


def test_what_is_unticked_or_emptied_in_a_draft_does_not_come_back(
    ana: Client, tmp_path: Path
) -> None:
    ticked = {"once": "yes", "may_export": "yes"}
    first = ana.post("/10", {**_MESSAGE, **ticked}, _picture(tmp_path))
    draft = first.url.path.removeprefix("/11/")
    shown = ana.get(f"/10?draft={draft}").text
    assert shown.count(" checked") == 3  # Ben, once only, and that he may save it
    _lock(ana)
    ana.post("/10", {"text": "", "days": "7", "draft": draft})
    form = ana.unlock().text
    assert _HAS_FILE in form
    assert "TEXTZELDA" not in form
    assert " checked" not in form


def test_what_is_typed_into_a_draft_that_was_discarded_meanwhile_stays(ana: Client) -> None:
    draft = ana.post("/10", _MESSAGE).url.path.removeprefix("/11/")
    ana.post(f"/12/{draft}", {"sure": "yes"})
    refused = ana.post("/10", {**_MESSAGE, "text": "CHANGED", "draft": draft})
    assert refused.status_code == httpx.codes.CONFLICT
    assert "is no longer among your drafts" in refused.text
    assert "CHANGED" in refused.text
    assert _draft_in_form(refused) == {}
