"""All that lay in a relay of an early version is served by this one."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from entrenous.carry.hold import find_blob
from entrenous.carry.letters.accept import accept
from entrenous.carry.letters.hand_over import acknowledge, waiting
from entrenous.carry.letters.withdraw import look_after, withdraw
from entrenous.carry.mailboxes.close import close_mailbox
from entrenous.carry.mailboxes.mailbox import card_of
from entrenous.carry.mailboxes.prekeys import claim_prekeys, count_prekeys
from entrenous.carry.release import finish, open_share
from entrenous.model.envelope import EnvelopeState
from entrenous.model.held import HeldAttempt, HeldEnvelope, HeldGroup, HeldShare
from entrenous.model.ids import MailboxId
from entrenous.model.relay_problem import NoSuchEnvelope, TakenBack, UsedUp
from entrenous.model.secret import Secret
from entrenous.ports import Relay
from tests.adapters.mail.migrations.house import (
    ATTEMPT,
    COMING,
    DEVICE,
    before_groups,
    post,
    restored,
    second,
)
from tests.carry.minute import expire
from tests.carry.relays import Post, WoundClock, disk_relay

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")

Answer = TypeVar("Answer")


class House:
    """That relay, now at work with this version, and its clock."""

    def __init__(self, relay: Relay, clock: WoundClock, runner: asyncio.Runner) -> None:
        self.relay, self.clock, self._runner = relay, clock, runner

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self._runner.run(work)

    def open(self, made: Post, attempt: bytes) -> Secret:
        return self.run(open_share(made.id, made.open, attempt, self.relay))

    def bytes_of(self, made: Post) -> bytes:
        async def read() -> bytes:
            held = await find_blob(made.blob_id, made.fetch, self.relay)
            return b"".join(
                [part async for part in await self.relay.blobs.read(held.name, 0, 5000)]
            )

        return self.run(read())

    def rows(self, kind: type[Answer]) -> list[Answer]:
        return self.run(self.relay.mail.look(lambda view: view.find(kind)))


@pytest.fixture(params=["first version", "before groups"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    mail = restored(tmp_path)
    if request.param == "before groups":
        before_groups(mail)
    clock = WoundClock()
    with asyncio.Runner() as runner, disk_relay(tmp_path, clock) as relay:
        yield House(relay, clock, runner)


def test_letters_wait_and_are_handed_over(house: House) -> None:
    made, relay = post("waiting"), house.relay
    page = house.run(waiting(made.mailbox, made.owner, 0, 50, relay))
    assert [(one.id, one.sequence) for one in page] == [(made.id, 1), (second(made).id, 2)]
    assert {one.sealed for one in page} == {b"sealed letter to waiting"}
    for one in page:
        house.run(acknowledge(made.mailbox, made.owner, one.id, relay))
    assert house.run(waiting(made.mailbox, made.owner, 0, 50, relay)) == []


def test_blobs_are_read(house: House) -> None:
    for made in map(post, ("waiting", "counted", "lasting")):
        assert house.bytes_of(made) == made.blob


def test_shares_are_given_out_as_often_as_was_left(house: House) -> None:
    """One of three attempts was made, and is over; repeated, it counts nothing."""
    made = post("counted")
    with pytest.raises(UsedUp):
        house.open(made, ATTEMPT)
    given = [house.open(made, attempt) for attempt in (b"B" * 16, b"C" * 16, b"B" * 16)]
    assert given == [made.share] * 3
    with pytest.raises(UsedUp):
        house.open(made, b"D" * 16)
    once = post("waiting")
    assert house.open(once, ATTEMPT) == once.share
    house.run(finish(once.id, once.open, ATTEMPT, house.relay))
    with pytest.raises(UsedUp):
        house.open(once, b"B" * 16)
    lasting, bare = post("lasting"), post("bare")
    assert [house.open(lasting, bytes([n]) * 16) for n in range(5)] == [lasting.share] * 5
    assert house.open(bare, ATTEMPT) == bare.share


def test_shares_know_their_mailbox_and_their_count(house: House) -> None:
    shares = {share.envelope: share for share in house.rows(HeldShare)}
    groups = {group.group: (group.opens, group.opened) for group in house.rows(HeldGroup)}
    mine = {name: shares.pop(post(name).id) for name in ("waiting", "counted", "lasting", "bare")}
    assert shares == {}
    for name in ("waiting", "counted", "lasting"):
        assert mine[name].mailbox == post(name).mailbox
    assert mine["bare"].mailbox == MailboxId(bytes(16))
    assert mine["lasting"].group is None
    counts = {name: groups[one.group] for name, one in mine.items() if one.group is not None}
    assert counts == {"waiting": (1, 0), "counted": (3, 1), "bare": (1, 0)}
    assert len(groups) == 3


def test_senders_learn_and_withdraw(house: House) -> None:
    back, made, relay = post("taken back"), post("counted"), house.relay
    assert house.run(look_after(back.id, back.withdraw, relay)).state is EnvelopeState.TAKEN_BACK
    with pytest.raises(TakenBack):
        house.open(back, ATTEMPT)
    status = house.run(look_after(made.id, made.withdraw, relay))
    assert (status.state, status.opened) == (EnvelopeState.OPENED, 1)
    assert house.run(withdraw(made.id, made.withdraw, relay)).state is EnvelopeState.TAKEN_BACK
    with pytest.raises(TakenBack):
        house.open(made, ATTEMPT)


def test_tokens_cards_and_prekeys_go_on(house: House) -> None:
    made, relay = post("waiting"), house.relay
    assert house.run(card_of(made.mailbox, made.token, relay)) == b"card"
    assert house.run(count_prekeys(made.mailbox, made.owner, DEVICE, relay)) == 1
    bundles = [house.run(claim_prekeys(made.mailbox, made.token, DEVICE, relay)) for _ in range(2)]
    assert bundles[0].one_time in {b"one", b"two"}
    assert (bundles[1].one_time, bundles[1].fallback) == (None, b"fallback")
    assert house.run(accept(made.letter(), made.token, relay))
    assert not house.run(accept(second(made), made.token, relay))  # it is known as a repeat


def test_a_mailbox_can_be_closed_with_its_shares(house: House) -> None:
    made = post("lasting")
    house.run(close_mailbox(made.mailbox, made.owner, house.relay))
    assert made.id not in {share.envelope for share in house.rows(HeldShare)}
    assert house.run(look_after(made.id, made.withdraw, house.relay)).state is EnvelopeState.REVOKED


def test_what_is_over_goes(house: House, tmp_path: Path) -> None:
    """Also what was on its way when the earlier version stopped."""
    assert (tmp_path / "blobs" / f"{COMING}.part").exists()
    house.clock.wind(days=8)
    house.run(expire(house.relay))
    assert list((tmp_path / "blobs").iterdir()) == []
    assert house.rows(HeldShare) == house.rows(HeldGroup) == house.rows(HeldAttempt) == []
    house.clock.wind(days=60)
    house.run(expire(house.relay))
    assert house.rows(HeldEnvelope) == []
    with pytest.raises(NoSuchEnvelope):
        house.open(post("waiting"), ATTEMPT)
