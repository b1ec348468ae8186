"""Letters that could not be opened: told once, never kept, and never without end."""

from typing import Any

import pytest

from entrenous.send.drawers import ASIDE
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.aside import put_aside, take_from_aside
from tests.send.room import SMALL, Room
from tests.village.malicious_relay import Honest


def test_what_could_not_be_opened_is_told_once_and_not_kept(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.sends(SMALL, ben)

    def spoiled(honest: Honest, *arguments: Any) -> Any:
        page = honest(*arguments)
        for waiting in page:
            object.__setattr__(waiting, "sealed", bytes(100_000))
        return page

    with ben.courier.playing(waiting=spoiled):
        assert fetch_messages(ben.device).came == 1
    assert [record for _, record in ben.device.vault.items(ASIDE)] == [b""]
    assert take_from_aside(ben.device) == 1
    assert take_from_aside(ben.device) == 0


@pytest.mark.threat("letters-that-are-none")
def test_nobody_fills_the_vault_with_what_is_no_letter(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.send.letter.aside._UNTOLD_MAX", 3)
    for number in range(9):
        put_aside(f"{number}", room["ben"].device)
    assert take_from_aside(room["ben"].device) == 3
