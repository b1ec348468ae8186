"""Pauses between errands, with a clock and dice of the test's."""

from dataclasses import dataclass, field

import pytest

from entrenous.adapters.courier.apart import Apart
from entrenous.adapters.courier.request import Ask, Errand
from entrenous.model.secret import Secret
from entrenous.settings import read_settings

BEN, CARO, OWN = Secret(b"b" * 32), Secret(b"c" * 32), Secret(b"o" * 32)


@dataclass
class World:
    """A clock that stands still but for pauses; every die shows ``share`` of its range."""

    share: float = 0.5
    now_s: float = 0.0
    pauses: list[float] = field(default_factory=list)
    rested: list[float] = field(default_factory=list)

    def token(self, size: int) -> bytes:
        return int(self.share * (1 << 8 * size)).to_bytes(size, "big")

    def sleep(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 6))
        self.now_s += seconds

    def apart(self, longest_s: float = 4.0) -> Apart:
        return Apart(
            longest_s, self, lambda: self.rested.append(self.now_s), lambda: self.now_s, self.sleep
        )


def does(apart: Apart, errand: Errand, token: Secret = OWN) -> None:
    with apart.during(Ask("GET", "", token, errand=errand)):
        pass


def test_a_letter_waits_after_an_own_errand_and_an_own_errand_after_it() -> None:
    world = World()
    apart = world.apart()
    for errand, token in ((Errand.OWN, OWN), (Errand.LETTER, BEN), (Errand.OWN, OWN)):
        for _ in range(2):  # the second request of the same errand follows at once
            does(apart, errand, token)
    assert world.pauses == [2.0, 2.0]
    assert world.rested == [0.0, 2.0]  # what idles was closed before the pause


@pytest.mark.parametrize(("share", "pause"), [(0.0, []), (0.25, [1.0]), (0.999, [3.996])])
def test_a_pause_is_the_part_that_was_drawn(share: float, pause: list[float]) -> None:
    world = World(share)
    apart = world.apart()
    does(apart, Errand.OWN)
    does(apart, Errand.LETTER, BEN)
    assert world.pauses == pause


def test_work_in_between_is_part_of_the_pause() -> None:
    world = World()
    apart = world.apart()
    does(apart, Errand.OWN)
    world.now_s += 1.5
    does(apart, Errand.LETTER, BEN)
    assert world.pauses == [0.5]


def test_fifty_recipients_cost_little_more_than_one() -> None:
    world = World()
    apart = world.apart()
    does(apart, Errand.OWN)
    for number in range(50):
        does(apart, Errand.LETTER, Secret(bytes([number]) * 32))
    assert world.pauses[:3] == [2.0, 1.0, 0.666667]
    assert sum(world.pauses) < 10


def test_states_are_one_errand_and_who_takes_back_does_not_wait() -> None:
    world = World()
    apart = world.apart()
    does(apart, Errand.OWN)
    does(apart, Errand.OF_NOBODY, BEN)
    assert world.pauses == []
    does(apart, Errand.LOOK, BEN)
    does(apart, Errand.LOOK, CARO)
    assert world.pauses == [2.0]


def test_what_comes_first_waits_for_nothing() -> None:
    world = World()
    does(world.apart(), Errand.LETTER, BEN)
    assert world.pauses == []


def test_by_default_it_is_three_seconds_at_most() -> None:
    assert read_settings({}).pause_s == 3.0
    assert read_settings({"ENTRENOUS_PAUSE": "0"}).pause_s == 0.0
