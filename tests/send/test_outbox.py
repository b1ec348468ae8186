"""The outbox: in order, nothing lost, and nobody held up by somebody else's trouble."""

import pytest

from entrenous.model.envelope import (
    DamagedBlob,
    DiskFailed,
    EnvelopeState,
    IdInUse,
    NotARelay,
    NotUnderstood,
    ProtocolTooOld,
    RelayFull,
    RelayUnreachable,
    TooLarge,
    TooMany,
    WrongToken,
)
from entrenous.model.errors import EntrenousError
from entrenous.model.message import WaitsInOutbox
from entrenous.send.drawers import CHORE, OUTBOX, UNDELIVERABLE
from entrenous.send.fetch import fetch_messages
from entrenous.send.invite import add_person, make_invite
from entrenous.send.outbox import flush
from entrenous.send.recall import recall_message
from entrenous.send.status import sent_messages
from tests.send.room import HERE, SMALL, THERE, Person, Room
from tests.village.malicious_relay import Honest, failing

NOT_NOW = [
    RelayUnreachable(host="x"),
    NotARelay(host="x"),
    RelayFull(),
    DiskFailed(),
    TooMany(retry_after_s=9),
    ProtocolTooOld(floor=2, newest=2, ours=1),
    NotUnderstood(),
    DamagedBlob(),
]
NEVER = [WrongToken(), IdInUse(), TooLarge(limit_bytes=1)]


def named(error: EntrenousError) -> str:
    return type(error).__name__


def waiting(who: Person, drawer: str = OUTBOX) -> int:
    return len(list(who.device.vault.items(drawer)))


@pytest.fixture
def three(friends: Room) -> Room:
    friends["ana"].adds(friends.settles("caro"))
    return friends


@pytest.fixture
def apart(room: Room) -> Room:
    """Ana and Ben here, Caro there; Ana knows both."""
    room.settles("caro", THERE)
    for name in ("ben", "caro"):
        room["ana"].adds(room[name])
    return room


@pytest.mark.parametrize("error", NEVER, ids=named)
def test_a_refused_posting_never_blocks_the_ones_behind_it(
    three: Room, error: EntrenousError
) -> None:
    ana, ben, caro = (three[name] for name in ("ana", "ben", "caro"))
    with ana.courier.playing(post=failing(error, times=1)), pytest.raises(type(error)):
        ana.sends(SMALL, ben, caro)
    assert (ben.received(), caro.received()) == (0, 1)
    assert (waiting(ana), waiting(ana, UNDELIVERABLE)) == (0, 1)
    assert flush(ana.device) == 0  # it was told once
    ana.sends(SMALL, ben)
    assert ben.received() == 1


def test_postings_that_were_refused_are_all_kept_apart(three: Room) -> None:
    ana, ben = three["ana"], three["ben"]
    for _ in range(2):
        with ana.courier.playing(post=failing(IdInUse())), pytest.raises(IdInUse):
            ana.sends(SMALL, ben)
    assert waiting(ana, UNDELIVERABLE) == 2


@pytest.mark.parametrize("error", NOT_NOW, ids=named)
@pytest.mark.parametrize("call", ["post", "bring_blob"])
def test_what_cannot_leave_now_goes_on_waiting(
    friends: Room, error: EntrenousError, call: str
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    for _ in range(2):
        with ana.courier.playing(**{call: failing(error)}), pytest.raises(WaitsInOutbox):
            ana.sends(SMALL, ben)
    assert ben.received() == 0
    assert flush(ana.device) == 2
    assert ben.received() == 2
    assert ben.opens_newest().files


def test_a_silent_relay_holds_up_nothing_that_goes_elsewhere(apart: Room) -> None:
    ana, ben, caro = (apart[name] for name in ("ana", "ben", "caro"))
    apart.silence(THERE)
    with pytest.raises(WaitsInOutbox, match="7002"):
        ana.sends(SMALL, caro, ben)
    assert ben.received() == 1
    ana.sends(SMALL, ben)  # no news about this one, so nothing is raised
    assert ben.received() == 2
    ben.sends(SMALL, ana)
    assert ana.received() == 1
    apart.back(THERE)
    fetch_messages(ana.device)
    assert caro.received() == 1
    assert waiting(ana) == 0


def test_our_own_silent_relay_does_not_hold_up_what_goes_elsewhere(apart: Room) -> None:
    ana, caro = apart["ana"], apart["caro"]
    apart.silence(HERE)
    ana.sends(SMALL, caro)
    assert caro.received() == 1


def test_nothing_overtakes_what_a_relay_did_not_take(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    friends.silence(HERE)
    with pytest.raises(WaitsInOutbox):
        ana.sends(SMALL, ben)
    friends.back(HERE)
    with (
        ana.courier.playing(bring_blob=failing(RelayFull(), times=1)),
        pytest.raises(WaitsInOutbox),
    ):
        ana.sends(SMALL, ben)
    assert (waiting(ana), ben.received()) == (2, 0)
    assert flush(ana.device) == 2


def test_a_hello_waits_until_the_token_in_it_is_registered_and_holds_up_nobody_else(
    three: Room,
) -> None:
    ana, ben, dan = three["ana"], three["ben"], three.settles("dan")
    full = failing(RelayFull())
    with ana.courier.playing(register_token=full):
        with pytest.raises(RelayFull):
            add_person(make_invite(dan.device), "dan", ana.device)
        ana.sends(SMALL, ben)
        with pytest.raises(WaitsInOutbox):
            ana.sends(SMALL, dan)
        assert ben.received() == 1
        assert fetch_messages(dan.device) == 0  # a message before its hello could not be read
    assert (waiting(ana), waiting(ana, CHORE)) == (2, 1)
    fetch_messages(ana.device)
    assert dan.received() == 1
    dan.sends(SMALL, ana)
    assert ana.received() == 1


def test_postings_leave_in_the_order_in_which_they_were_sealed(three: Room) -> None:
    ana, ben, caro = (three[name] for name in ("ana", "ben", "caro"))
    three.silence(HERE)
    for to in (ben, caro, ben, ben):
        with pytest.raises(WaitsInOutbox):
            ana.sends(SMALL, to)
    three.back(HERE)
    left: list[bytes] = []

    def noted(honest: Honest, url: str, token: object, envelope: object) -> None:
        left.append(envelope.mailbox)  # type: ignore[attr-defined]
        honest(url, token, envelope)

    with ana.courier.playing(post=noted):
        assert flush(ana.device) == 4
    assert left[0] == left[2] == left[3] != left[1]


def test_sealed_files_are_forgotten_once_the_relay_has_them(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    friends.silence(HERE)
    with pytest.raises(WaitsInOutbox):
        ana.sends(SMALL, ben)
    assert len(ana.vault._files) == 2  # the original, and the sealed copy that waits
    friends.back(HERE)
    flush(ana.device)
    assert list(ana.vault._files.values()) == [SMALL]


def test_a_message_that_waits_and_is_taken_back_never_leaves(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    away = failing(RelayUnreachable(host="x"))
    with ana.courier.playing(post=away), pytest.raises(WaitsInOutbox):
        ana.sends(SMALL, ben)
    name = next(ana.device.ledger.messages()).name
    recall_message(name, ana.device)
    assert flush(ana.device) == 0
    assert ben.received() == 0
    assert list(ana.vault._files.values()) == [SMALL]
    assert sent_messages(ana.device)[0].copies[0].state is EnvelopeState.TAKEN_BACK
