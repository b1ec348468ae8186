"""Tests of answers about what happened: for which case they are used, and when they are gone."""

import re
from pathlib import Path

import httpx
import pytest

from tests.app.client import Client, open_client
from tests.app.served import run_app
from tests.app.test_poisoned_files import open_case

pytestmark = [pytest.mark.real, pytest.mark.slow]


def heading(page: httpx.Response) -> str:
    found = re.search(r"<h1>([^<]+)", page.text)
    return found[1] if found else ""


def answer_legal_questions(ana: Client) -> None:
    """Say that everybody was an adult, and that somebody in Spain demands money."""
    ana.post("/82")
    answers = {"3": {"answer": "yes"}, "4": {"answer": "threat"}, "13": {"answer": "money"}}
    for number, answer in {**answers, "5": {"place": "Spain"}}.items():
        ana.post(f"/72/{number}", answer)


def test_a_case_about_another_matter_asks_for_the_age_again(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        answer_legal_questions(ana)
        assert 'name="other_matter" value="yes"' in ana.get("/80").text
        ana.post("/81", {"for": "other", "other_matter": "yes"})
        ana.post("/81/1", {"answer": "yes"})
        assert "18" in heading(ana.post("/81/2", {"answer": "no"}))


def test_stopping_forgets_a_form_that_was_kept_at_the_lock(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        ana.post("/72/5", {"place": "Germny"})
        ana.post("/82")
        assert "Germny" not in ana.get("/72/5").text


def test_a_platform_without_a_record_is_stored(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        about = f"/89/{open_case(ana)}"
        ana.post(about, {"platform": "MyForum"})
        assert "MyForum" in ana.get(about).text
