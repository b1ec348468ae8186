"""Tests of limited views: races, interruptions, recalls, and what remains stored."""

import asyncio
import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrenous.base.errors import TakenBack, UsedUp
from entrenous.carry.accept import accept
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay_rows import StoredShare
from entrenous.carry.withdraw import withdraw
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.vault_tables import PARTIAL_DOWNLOAD, UNREPORTED_OPENING
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import MessageFileEntry, MessageFrame
from entrenous.send.message.states import InboxState, OpenedElsewhere, ReceivedMessage
from entrenous.send.open import WriteFile, open_message, show_received_message
from entrenous.send.recall import recall_message
from entrenous.send.status import query_sent_messages
from entrenous.wire.relay_nouns import EnvelopeState
from tests.carry.relays import SampleMessage, disk_relay, serve_app
from tests.carry.test_expire import create_mailbox_and_post
from tests.deterministic import SeededRandomSource, SettableClock
from tests.send.send_device import SMALL_PICTURE, Network, Person, cached_network
from tests.send.send_text import send_text
from tests.sizes import size
from tests.village.households import add_linked_device, catch_up
from tests.village.view_once import DEVICE_COUNT, OPENER_COUNT, count_openings, run_race

pytestmark = pytest.mark.slow

RACE_COUNT = size(8, 20)  # 200 races: python -m tests.village.view_once --runs 200


@pytest.mark.threat("view-once-bypass")
def test_a_hundred_racing_openers_on_three_devices_get_one_opening() -> None:
    for seed in range(RACE_COUNT):
        results = run_race(seed)
        assert (results.total(), count_openings(results)) == (OPENER_COUNT, 1), (
            f"seed {seed}: {dict(results)}"
        )


@pytest.mark.real
@pytest.mark.threat("view-once-bypass")
def test_racing_openers_over_http_get_one_opening(tmp_path: Path) -> None:
    random_source, clock = SeededRandomSource(), SettableClock()
    posts = [SampleMessage(random_source=random_source) for _ in range(DEVICE_COUNT)]
    with (
        disk_relay(tmp_path, clock) as relay,
        serve_app(relay_app(relay)) as url,
        new_relay_client() as web,
    ):
        courier = HttpCourier(web)
        for post in posts:
            post.group = posts[0].group
            courier.create_mailbox(url, post.mailbox, post.owner)
            courier.register_token(url, post.mailbox, post.owner, post.send_token())
            courier.post(url, post.token, post.envelope(1, blobs=False))

        def try_to_open(number: int) -> bool:
            post = posts[number % DEVICE_COUNT]
            try:
                courier.open_share(url, post.id, post.open, number.to_bytes(16))
                courier.finish_opening(url, post.id, post.open, number.to_bytes(16))
            except UsedUp:
                return False
            return True

        with ThreadPoolExecutor(OPENER_COUNT) as racers:
            assert sum(racers.map(try_to_open, range(OPENER_COUNT))) == 1


@pytest.mark.threat("view-once-bypass")
def test_recall_before_the_first_view_deletes_the_share_within_a_second(tmp_path: Path) -> None:
    """The relay has its rows on disk and stores a thousand other envelopes."""

    async def recall_among_others() -> tuple[float, int]:
        post = SampleMessage()
        with disk_relay(tmp_path, SettableClock()) as relay:
            await create_mailbox_and_post(relay, post, 1)
            others = [_new_message_to_same_mailbox(post) for _ in range(1000)]
            await asyncio.gather(
                *(accept(one.envelope(1, blobs=False), post.token, relay) for one in others)
            )
            begun = time.process_time()  # wall time would depend on the machine's load
            status = await withdraw(post.id, post.withdraw, relay)
            duration_s = time.process_time() - begun
            assert status.state is EnvelopeState.TAKEN_BACK
            share_count = await relay.mail.read(
                lambda view: view.count(StoredShare, envelope=post.id)
            )
            return duration_s, share_count

    duration_s, share_count = asyncio.run(recall_among_others())
    assert share_count == 0
    assert duration_s <= 1


def _new_message_to_same_mailbox(post: SampleMessage) -> SampleMessage:
    other = SampleMessage(random_source=post.random_source)
    other.mailbox = post.mailbox
    return other


@pytest.fixture
@cached_network
def friends() -> Network:
    network = Network()
    network.set_up_person("ana").add_contact(network.set_up_person("ben"))
    return network


@pytest.fixture
def ben(friends: Network) -> Person:
    """Return Ben, who has fetched a message from Ana that opens once."""
    friends["ana"].send(SMALL_PICTURE, friends["ben"], opens=1)
    fetch_messages(friends["ben"].device)
    return friends["ben"]


def newest_message(person: Person) -> ReceivedMessage:
    return received_messages(person.device)[-1]


@pytest.mark.threat("view-once-bypass")
def test_view_once_message_leaves_nothing_and_opens_once(friends: Network, ben: Person) -> None:
    before, manifest, name = (
        dict(ben.vault._files),
        newest_message(ben).manifest,
        newest_message(ben).name,
    )
    assert manifest is not None
    assert open_message(name, ben.device).files
    assert ben.vault._files == before
    assert (newest_message(ben).state, newest_message(ben).manifest) == (InboxState.USED_UP, None)
    assert ben.vault.keys(PARTIAL_DOWNLOAD) == ben.vault.keys(UNREPORTED_OPENING) == ()
    for table in ben.vault._tables.values():
        for record in table.values():
            assert manifest.secret.reveal() not in record
    with pytest.raises(UsedUp) as refused:
        open_message(name, ben.device)
    assert not isinstance(refused.value, OpenedElsewhere)
    assert query_sent_messages(friends["ana"].device)[0].copies[0].state is EnvelopeState.OPENED


@pytest.mark.threat("n-plus-one-views")
def test_interrupted_view_does_not_use_up_a_text(friends: Network, ben: Person) -> None:
    name = send_text(friends["ana"], "ben", text="for you alone", opens=1).name
    fetch_messages(ben.device)
    results = list[str | None]()

    def interrupt(frame: MessageFrame) -> None:
        results.append(frame.text)
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            show_received_message(name, lambda *_: None, ben.device, tell=interrupt)
    show_received_message(
        name, lambda *_: None, ben.device, tell=lambda frame: results.append(frame.text)
    )
    assert results == ["for you alone"] * 3
    with pytest.raises(UsedUp):
        open_message(name, ben.device)


@pytest.mark.threat("n-plus-one-views")
def test_interrupted_view_can_be_repeated_and_counts_once(friends: Network, ben: Person) -> None:
    name, shown = newest_message(ben).name, io.BytesIO()

    def interrupt(_number: int, _file: MessageFileEntry, fill: WriteFile) -> None:
        fill(shown)
        raise KeyboardInterrupt

    attempt = None
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            show_received_message(name, interrupt, ben.device)
        assert newest_message(ben).attempt == (attempt or newest_message(ben).attempt)
        attempt = newest_message(ben).attempt
    assert ben.courier.calls["finish_opening"] == 0
    assert (
        open_message(name, ben.device).files[0].data
        == shown.getvalue()[: len(shown.getvalue()) // 3]
    )
    copy = query_sent_messages(friends["ana"].device)[0].copies[0]
    results = friends["ana"].device.courier.envelope_status(
        copy.relay_url, copy.envelope, copy.withdraw_token
    )
    assert results.opened == 1


@pytest.mark.threat("n-plus-one-views")
def test_message_with_three_views_opens_three_times_and_leaves_no_file(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben, opens=3)
    fetch_messages(ben.device)
    name, before = newest_message(ben).name, dict(ben.vault._files)
    for view in range(1, 4):
        assert open_message(name, ben.device).files
        assert ben.vault._files == before
        assert newest_message(ben).state is (InboxState.OPENED if view < 3 else InboxState.USED_UP)
    with pytest.raises(UsedUp):
        open_message(name, ben.device)


@pytest.mark.threat("view-once-bypass")
def test_device_learns_that_another_device_used_the_only_opening(ben: Person) -> None:
    name, received = newest_message(ben).name, newest_message(ben)
    manifest = received.manifest
    assert manifest is not None
    ben.device.courier.open_share(
        manifest.relay_url, received.envelope, manifest.open_token, b"other device's 1"
    )
    for _ in range(2):
        with pytest.raises(
            OpenedElsewhere,
            match=f"Another device of yours used up the remaining openings of message {name}",
        ):
            open_message(name, ben.device)
    assert (newest_message(ben).state, newest_message(ben).manifest) == (InboxState.ELSEWHERE, None)
    assert ben.vault.keys(PARTIAL_DOWNLOAD) == ()


@pytest.mark.threat("view-once-bypass")
def test_message_recalled_before_the_first_view_never_opens(friends: Network, ben: Person) -> None:
    recall_message(
        query_sent_messages(friends["ana"].device)[0].message.name, friends["ana"].device
    )
    with pytest.raises(TakenBack):
        open_message(newest_message(ben).name, ben.device)
    assert newest_message(ben).state is InboxState.TAKEN_BACK


@pytest.mark.threat("view-once-bypass")
@pytest.mark.threat("n-plus-one-views")
@pytest.mark.parametrize("first_device", ["phone", "ana"])
def test_two_devices_of_one_person_share_one_opening(first_device: str) -> None:
    """On the second device, the message cannot be opened after it was opened on the first one."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    ana.add_contact(ben)
    phone = add_linked_device(network, ana, "phone", "phone")
    catch_up(ben, phone, ana, ben, phone, ana)
    assert ben.send(SMALL_PICTURE, ana, opens=1).devices == {"ana": 2}
    catch_up(ana, phone)
    winner, other = (phone, ana) if first_device == "phone" else (ana, phone)
    assert winner.open_newest().files
    with pytest.raises(OpenedElsewhere):
        other.open_newest()
    assert (newest_message(winner).state, newest_message(other).state) == (
        InboxState.USED_UP,
        InboxState.ELSEWHERE,
    )
    # Without a limit, each device can open its copy.
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 2}
    catch_up(ana, phone)
    assert {len(one.open_newest().files) for one in (ana, phone)} == {1}
