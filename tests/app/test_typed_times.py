"""Tests of days and times that a person types, in several time zones."""

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.app.client import Client, open_client
from tests.app.served import run_app
from tests.app.test_poisoned_files import open_case

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: In December, most zones have another offset than on this day.
_SUMMER_DAY = "2025-08-20"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_typed_days_and_times_are_in_the_machines_zone(tmp_path: Path, zone: str) -> None:
    with run_app(tmp_path / "device", TZ=zone) as app, open_client(app) as ana:
        ana.set_up()
        case = open_case(ana)
        place = {"kind": "page", "where": "https://example.org/y", "day": _SUMMER_DAY}
        assert "20 August 2025, 12:00" in ana.post(f"/86/{case}", place).text
        ana.post(f"/89/{case}", {"place": "Germany"})
        _check_aware(ana, case, zone, _SUMMER_DAY, "23:30")
        _check_aware(ana, case, zone, "", "00:00")
        letter = ana.post(f"/84/{case}", {"route": "eu-dsa-16"}).url.path
        sent = ana.post(letter, {"act": "send", "day": _SUMMER_DAY, "time": "23:30"})
        assert 'role="alert"' not in sent.text
        for day in ("0001-01-01", "9999-12-31"):  # their moments in UTC may be in no year
            refused = ana.post(letter, {"act": "receipt", "day": day, "time": "23:59"})
            assert refused.status_code == 409


def _check_aware(ana: Client, case: str, zone: str, day: str, time: str) -> None:
    """Type when a breach became known; check the time that the page shows, in UTC. Without a day,
    the day is today.
    """
    days = {day} if day else {_today(zone)}
    shown = ana.post(f"/97/{case}", {"act": "aware", "day": day, "time": time}).text
    days |= set() if day else {_today(zone)}  # midnight may have passed meanwhile
    found = re.search(r"You became aware of it on (.+?) UTC", shown)
    assert found is not None, shown
    moment = datetime.strptime(found[1], "%d %B %Y, %H:%M").replace(tzinfo=UTC)
    local = [datetime.fromisoformat(f"{one}T{time}").replace(tzinfo=ZoneInfo(zone)) for one in days]
    assert moment in local


def _today(zone: str) -> str:
    return datetime.now(ZoneInfo(zone)).date().isoformat()
