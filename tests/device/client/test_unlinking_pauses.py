"""Tests of the pauses between requests that a relay should not link to each other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from entrenous.base.environment import Settings, read_settings
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.device.client import http_courier
from entrenous.device.client.relay_request import RelayCall, TokenSubject, UnlinkingPauses
from tests.carry.relays import SampleMessage, download_bytes
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.courier import InProcessTransport
from tests.vaults import create_device, make_vaults_open_quickly, open_device
from tests.village.relay import relay_with_courier

BENS_TOKEN, CAROS_TOKEN, OWN_TOKEN = Secret(b"b" * 32), Secret(b"c" * 32), Secret(b"o" * 32)


@dataclass
class FakeClockAndRandomSource:
    """A clock that ``sleep`` advances, and a random source that always returns the same value."""

    random_fraction: float = 0.5
    now_s: float = 0.0
    pauses: list[float] = field(default_factory=list)
    idle_closed_at: list[float] = field(default_factory=list)

    def token(self, size: int) -> bytes:
        return int(self.random_fraction * (1 << 8 * size)).to_bytes(size, "big")

    def sleep(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 6))
        self.now_s += seconds

    def make_pauses(self, longest_s: float = 4.0) -> UnlinkingPauses:
        return UnlinkingPauses(
            longest_s,
            self,
            lambda: self.idle_closed_at.append(self.now_s),
            lambda: self.now_s,
            self.sleep,
        )


def send_request(pauses: UnlinkingPauses, subject: TokenSubject, token: Secret = OWN_TOKEN) -> None:
    with pauses.pausing_before(RelayCall("GET", "", token, token_subject=subject)):
        pass


def test_letters_and_own_requests_are_separated_by_pauses() -> None:
    fake = FakeClockAndRandomSource()
    pauses = fake.make_pauses()
    for subject, token in (
        (TokenSubject.OWN, OWN_TOKEN),
        (TokenSubject.LETTER, BENS_TOKEN),
        (TokenSubject.OWN, OWN_TOKEN),
    ):
        for _ in range(2):  # the second request with the same token follows at once
            send_request(pauses, subject, token)
    assert fake.pauses == [2.0, 2.0]
    assert fake.idle_closed_at == [0.0, 2.0]  # idle connections were closed before the pause


@pytest.mark.parametrize(("random_fraction", "pause"), [(0.0, []), (0.25, [1.0]), (0.999, [3.996])])
def test_pause_is_a_random_part_of_the_maximum(random_fraction: float, pause: list[float]) -> None:
    fake = FakeClockAndRandomSource(random_fraction)
    pauses = fake.make_pauses()
    send_request(pauses, TokenSubject.OWN)
    send_request(pauses, TokenSubject.LETTER, BENS_TOKEN)
    assert fake.pauses == pause


def test_time_since_the_last_request_is_part_of_the_pause() -> None:
    fake = FakeClockAndRandomSource()
    pauses = fake.make_pauses()
    send_request(pauses, TokenSubject.OWN)
    fake.now_s += 1.5
    send_request(pauses, TokenSubject.LETTER, BENS_TOKEN)
    assert fake.pauses == [0.5]


def test_pauses_for_fifty_recipients_take_less_than_ten_seconds() -> None:
    fake = FakeClockAndRandomSource()
    pauses = fake.make_pauses()
    send_request(pauses, TokenSubject.OWN)
    for number in range(50):
        send_request(pauses, TokenSubject.LETTER, Secret(bytes([number]) * 32))
    assert fake.pauses[:3] == [2.0, 1.0, 0.666667]
    assert sum(fake.pauses) < 10


def test_status_queries_share_one_pause_and_recalls_need_none() -> None:
    fake = FakeClockAndRandomSource()
    pauses = fake.make_pauses()
    send_request(pauses, TokenSubject.OWN)
    send_request(pauses, TokenSubject.NOBODY, BENS_TOKEN)
    assert fake.pauses == []
    send_request(pauses, TokenSubject.LETTER_STATE, BENS_TOKEN)
    send_request(pauses, TokenSubject.LETTER_STATE, CAROS_TOKEN)
    assert fake.pauses == [2.0]


def test_first_request_is_not_delayed() -> None:
    fake = FakeClockAndRandomSource()
    send_request(fake.make_pauses(), TokenSubject.LETTER, BENS_TOKEN)
    assert fake.pauses == []


def test_courier_requests_pause_by_their_token_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, post, url = FakeClockAndRandomSource(), SampleMessage(), "https://relay.test"
    monkeypatch.setattr(
        http_courier, "UnlinkingPauses", lambda longest_s, *_: fake.make_pauses(longest_s)
    )
    app = relay_app(relay_with_courier(url, SettableClock(), SeededRandomSource("relay"))[0])
    client = httpx.Client(transport=InProcessTransport({url: app}))
    courier = http_courier.HttpCourier(client, pause_s=4.0)
    own: list[Callable[[], object]] = [
        lambda: courier.create_mailbox(url, post.mailbox, post.owner),
        lambda: courier.register_token(url, post.mailbox, post.owner, post.send_token()),
        lambda: courier.publish_key_bundle(url, post.mailbox, post.owner, b"card"),
        lambda: courier.waiting_envelopes(url, post.mailbox, post.owner, 0),
    ]
    letter: list[Callable[[], object]] = [
        lambda: courier.key_bundle(url, post.mailbox, post.token),
        lambda: courier.upload_blob(url, post.token, post.blob_deposit(), post.blob),
        lambda: courier.post(url, post.token, post.envelope(1)),
    ]
    status: list[Callable[[], object]] = [
        lambda: courier.envelope_status(url, post.id, post.withdraw)
    ]
    opening: list[Callable[[], object]] = [
        lambda: courier.open_share(url, post.id, post.open, post.new_attempt()),
        lambda: download_bytes(courier, url, post.blob_id, post.fetch),
    ]
    at_once: list[Callable[[], object]] = [
        lambda: courier.status(url),
        lambda: courier.withdraw(url, post.id, post.withdraw),
    ]
    for asks, pauses in (
        (own, 0),
        (letter, 1),
        (opening, 2),
        (status, 3),
        (own[3:], 4),
        (at_once, 4),
    ):
        for ask in asks:
            ask()
        assert len(fake.pauses) == pauses


@pytest.mark.slow
def test_device_uses_the_pause_length_from_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = list[float]()

    def record_longest(longest_s: float, *_: object) -> UnlinkingPauses:
        longest.append(longest_s)
        return FakeClockAndRandomSource().make_pauses(longest_s)

    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setattr(http_courier, "UnlinkingPauses", record_longest)
    settings, words = Settings(tmp_path / "ana", 0.0, pause_s=7.0), Secret(b"four or five words")
    with create_device(settings, lambda: words) as ana:
        ana.vault.put("example", "key", b"")
        assert callable(ana.courier.status)  # this first use creates the courier
    with open_device(settings, lambda: words) as ana:
        assert callable(ana.courier.status)
    assert longest == [7.0, 7.0]


def test_pause_setting_is_three_seconds_unless_set() -> None:
    assert read_settings({}).pause_s == 3.0
    assert read_settings({"ENTRENOUS_PAUSE": "0"}).pause_s == 0.0
