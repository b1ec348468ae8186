"""The guard asks about a device that has shown no activity for three weeks."""

from entrenous.base.errors import RelayUnreachable
from entrenous.send.fetch import fetch_messages
from tests.send.send_device import SMALL_PICTURE, Network
from tests.send.test_guard import guard_reasons
from tests.village.malicious_relay import error_trick

SILENT_FOR_22_DAYS = {"ben": "a device of ben has been silent for 22 days"}


def test_a_silent_device_is_asked_about_once_in_three_weeks(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    friends.clock.advance(days=22)
    assert guard_reasons(ana, "ben") == SILENT_FOR_22_DAYS
    ana.send(SMALL_PICTURE, ben)
    friends.clock.advance(days=5)
    assert guard_reasons(ana, "ben") == {}
    friends.clock.advance(days=17)
    assert "ben has been silent for 44 days" in guard_reasons(ana, "ben")["ben"]


def test_the_guard_asks_again_only_after_three_full_weeks(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    friends.clock.advance(days=22)
    ana.send(SMALL_PICTURE, ben)
    assert guard_reasons(ana, "ben") == {}
    friends.clock.advance(days=21)
    assert guard_reasons(ana, "ben") == {}
    friends.clock.advance(seconds=1)
    assert "ben has been silent for 43 days" in guard_reasons(ana, "ben")["ben"]


def test_a_letter_is_a_sign_of_life(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    friends.clock.advance(days=20)
    ben.send(SMALL_PICTURE, ana)
    fetch_messages(ana.device)
    friends.clock.advance(days=20)
    assert guard_reasons(ana, "ben") == {}


def test_a_fresh_prekey_at_the_relay_is_a_sign_of_life(friends: Network) -> None:
    """Ben only reads messages, but his program renews his prekeys."""
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    friends.clock.advance(days=15)
    fetch_messages(ben.device)
    friends.clock.advance(days=10)
    assert guard_reasons(ana, "ben") == {}


def test_an_unreachable_relay_is_no_sign_of_life(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    friends.clock.advance(days=22)
    with ana.courier.replace_calls(claim_prekeys=error_trick(RelayUnreachable(host="x"))):
        assert guard_reasons(ana, "ben") == SILENT_FOR_22_DAYS


def test_the_relay_is_asked_for_prekey_dates_once_a_day_at_most(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    friends.clock.advance(days=22)
    claims = []

    def record_claim(*arguments: object) -> object:
        claims.append(arguments)
        raise RelayUnreachable(host="x")

    with ana.courier.replace_calls(claim_prekeys=record_claim):
        for _ in range(3):
            guard_reasons(ana, "ben")
        friends.clock.advance(hours=25)
        guard_reasons(ana, "ben")
    assert len(claims) == 2
