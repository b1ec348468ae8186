"""The page on which two people compare seven pictures."""

import re
from http import HTTPStatus
from pathlib import Path

import pytest

from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.people.compare_keys import begin_or_answer_comparison, comparison_with
from entrenous.send.people.people_nouns import ComparisonStage, KeyComparisonInProgress
from tests.app.with_ben import run_app_of_ana_with_ben
from tests.real.processes import wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow]


def _comparison_of_ben(ben: Device) -> KeyComparisonInProgress | None:
    fetch_messages(ben)
    return comparison_with(contacts(ben)[0].person.id, ben)


def _is_ready(ben: Device) -> bool:
    """Return whether both public keys are on Ben's device, and so on Ana's too."""
    known = _comparison_of_ben(ben)
    return known is not None and known.stage is ComparisonStage.READY


@pytest.mark.threat("identity-misbinding")
def test_pictures_that_no_page_has_shown_cannot_be_confirmed(tmp_path: Path) -> None:
    with run_app_of_ana_with_ben(tmp_path) as network:
        ana, ben = network.ana, network.ben
        people = ana.get("/50").text
        page = re.search(r"/53/([^\"?]+)", people)
        assert page is not None
        compare = f"/54/{page[1]}"
        assert "Ask Ben to open" in ana.post(compare, {"do": "begin"}).text
        assert wait_until(lambda: _comparison_of_ben(ben) is not None, 90)
        begin_or_answer_comparison(contacts(ben)[0].name, ben)
        flush_outbox(ben)
        assert wait_until(lambda: _is_ready(ben), 90)
        unseen = ana.post(compare, {"do": "same"})
        assert unseen.status_code == HTTPStatus.CONFLICT
        assert "has not shown you the pictures" in unseen.text
        assert "Read yours aloud" in ana.get(compare).text
        assert "It counts as soon as Ben has said so too" in ana.post(compare, {"do": "same"}).text
