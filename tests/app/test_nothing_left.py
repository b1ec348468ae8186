"""Tests that a page serves nothing any more of what was deleted."""

import re
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.app.client import Client, open_client, wait_for_job
from tests.app.served import run_app
from tests.app.states import save_photograph
from tests.app.test_poisoned_files import open_case
from tests.app.with_ben import AnaWithBen, run_app_of_ana_with_ben

pytestmark = [pytest.mark.real, pytest.mark.slow]
_ANSWERS_BEFORE_CASE = (
    ("1", {"answer": "yes"}),
    ("2", {"answer": "no"}),
    ("3", {"answer": "yes"}),
    ("4", {"answer": "public"}),
    ("5", {"place": "Germany"}),
    ("7", {"where": "https://example.org/x"}),
)


def test_preview_of_a_deleted_message_is_gone(tmp_path: Path) -> None:
    with run_app_of_ana_with_ben(tmp_path) as both:
        draft, preview = _write_and_preview(both, tmp_path)
        both.ana.post(draft.replace("/11/", "/12/"), {"sure": "yes"})
        assert both.ana.get(f"{preview}/original").status_code == HTTPStatus.NOT_FOUND
        assert both.ana.get(preview).status_code == HTTPStatus.NOT_FOUND


def test_preview_of_an_undone_message_is_gone(tmp_path: Path) -> None:
    with run_app_of_ana_with_ben(tmp_path, ENTRENOUS_UNDO="60") as both:
        draft, preview = _write_and_preview(both, tmp_path)
        sending = both.send(draft).url.path
        both.ana.post(sending)
        assert both.ana.get(f"{preview}/original").status_code == HTTPStatus.NOT_FOUND


def test_preview_of_a_removed_file_is_gone(tmp_path: Path) -> None:
    with run_app_of_ana_with_ben(tmp_path) as both:
        draft, preview = _write_and_preview(both, tmp_path)
        file = re.search(r'name="file" value="([^"]+)"', both.ana.get(draft).text)
        removed = {"file": file[1] if file else "", "sure": "yes"}
        both.ana.post(draft.replace("/11/", "/14/") + "/1", removed)
        assert both.ana.get(f"{preview}/original").status_code == HTTPStatus.NOT_FOUND


def test_pack_of_an_erased_case_is_gone(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        case = _open_case(ana)
        routes = re.findall(r'name="route" value="([^"]+)"', ana.get(f"/84/{case}").text)
        ana.post(f"/84/{case}", {"route": routes[0]})
        pack = wait_for_job(ana, ana.post(f"/93/{case}", {"for": "platform", "letter": "1"}))
        assert ana.get(f"{pack.url.path}/file").content.startswith(b"PK")
        erased = wait_for_job(ana, ana.post(f"/94/{case}", {"act": "erase"}))
        assert ana.get(f"{pack.url.path}/file").status_code == HTTPStatus.NOT_FOUND
        assert "random number" in ana.get(f"{erased.url.path}").text, "the receipt stays"


def _write_and_preview(both: AnaWithBen, folder: Path) -> tuple[str, str]:
    """Return the addresses of a draft with a picture, and of the preview of Ben's copy."""
    picture = ("file", ("photo.jpg", save_photograph(folder).read_bytes(), "image/jpeg"))
    draft = both.write("some words", [picture])
    made = wait_for_job(both.ana, both.ana.post(draft.replace("/11/", "/15/") + "/1"))
    assert both.ana.get(f"{made.url.path}/original").headers["content-type"] == "image/jpeg"
    return draft, made.url.path


def _open_case(ana: Client) -> str:
    """Answer the questions, and return the handle of the new case."""
    page = ana.post("/81", {"for": "me"})
    for number, answer in _ANSWERS_BEFORE_CASE:
        page = ana.post(f"/81/{number}", answer)
    return page.url.path.rpartition("/")[2]


def test_erasing_a_case_about_somebody_under_18_says_what_is_left(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        case = open_case(ana)
        ana.post(f"/95/{case}")
        erased = wait_for_job(ana, ana.post(f"/94/{case}", {"act": "erase"}))
        assert "check number of this case is left on this device" in erased.text
        assert "Nothing of it is left" not in erased.text
