"""Tests of the courier's requests to a relay in memory, and over HTTP to a relay on SQLite."""

import io
from asyncio import AbstractEventLoop, get_running_loop, run_coroutine_threadsafe
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.errors import (
    DamagedBlob,
    Expired,
    IdInUse,
    NoPrekeys,
    NoSuchBlob,
    NoSuchEnvelope,
    NoSuchMailbox,
    NotARelay,
    NotEncrypted,
    RelayUnreachable,
    TakenBack,
    TooFarAhead,
    TooLarge,
    TooMany,
    UsedUp,
    WrongOffset,
    WrongToken,
)
from entrenous.base.identifiers import BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.limits import (
    BLOB_BYTES_MAX,
    ENCRYPTED_KEY_BUNDLE_BYTES_MAX,
    SEALED_LETTER_BYTES_MAX,
)
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.crypto.hashing import sha256, token_hash
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.wire.relay_nouns import EnvelopeState, Prekeys, SendToken
from tests.carry.minute_sweep import sweep_until_now
from tests.carry.relays import (
    NOON,
    SampleMessage,
    disk_relay,
    download_bytes,
    memory_relay,
    serve_app,
)
from tests.deterministic import SettableClock
from tests.in_memory.courier import memory_courier

DEVICE = DeviceId(b"D" * 16)


@dataclass
class RelayTestbed:
    """A relay, and a courier that reaches the relay."""

    url: str
    courier: HttpCourier
    clock: SettableClock
    delete_expired: Callable[[], None] = lambda: None

    def pass_days(self, days: int) -> None:
        """Let this many days pass; the relay on SQLite then deletes what has expired."""
        self.clock.advance(days=days)
        self.delete_expired()

    def create_mailbox_with_message(
        self, opens: int | None = None, *, blobs: bool = True
    ) -> SampleMessage:
        """Create a mailbox and post one message to it, with or without a blob."""
        post = self.create_mailbox_with_token()
        if blobs:
            self.courier.upload_blob(self.url, post.token, post.blob_deposit(), post.blob)
        self.courier.post(self.url, post.token, post.envelope(opens, blobs=blobs))
        return post

    def create_mailbox_with_token(self, uses: int | None = None) -> SampleMessage:
        """Create a mailbox and register a send token for it."""
        post = SampleMessage()
        self.courier.create_mailbox(self.url, post.mailbox, post.owner)
        granted = post.send_token(uses, NOON + timedelta(days=100))
        self.courier.register_token(self.url, post.mailbox, post.owner, granted)
        return post

    def envelope_state(self, post: SampleMessage) -> EnvelopeState:
        return self.courier.envelope_status(self.url, post.id, post.withdraw).state


@pytest.fixture(params=["memory", pytest.param("http", marks=pytest.mark.real)])
def testbed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RelayTestbed]:
    clock = SettableClock()
    if request.param == "memory":
        app = relay_app(memory_relay(clock))
        url = "https://relay.test"
        yield RelayTestbed(url, memory_courier({url: app}), clock)
        return
    request.getfixturevalue("socket_enabled")
    loops = list[AbstractEventLoop]()
    with disk_relay(tmp_path, clock) as relay:

        def delete_expired() -> None:  # only the serving event loop may use the database
            run_coroutine_threadsafe(sweep_until_now(relay), loops[0]).result()

        app = relay_app(relay, lambda *_: loops.append(get_running_loop()))
        with serve_app(app) as url, new_relay_client() as web:
            yield RelayTestbed(url, HttpCourier(web), clock, delete_expired)


def test_message_is_delivered_and_opened_and_then_used_up(testbed: RelayTestbed) -> None:
    post = testbed.create_mailbox_with_message(opens=1)
    courier, url = testbed.courier, testbed.url
    assert testbed.envelope_state(post) is EnvelopeState.WAITING
    (waiting,) = courier.waiting_envelopes(url, post.mailbox, post.owner, 0)
    assert (waiting.id, waiting.sealed) == (post.id, post.sealed)
    assert waiting.expires_at == post.until
    courier.acknowledge(url, post.mailbox, post.owner, post.id)
    assert courier.waiting_envelopes(url, post.mailbox, post.owner, 0) == []
    assert testbed.envelope_state(post) is EnvelopeState.DELIVERED
    attempt = post.new_attempt()
    assert courier.open_share(url, post.id, post.open, attempt) == post.share
    assert download_bytes(courier, url, post.blob_id, post.fetch) == post.blob
    courier.finish_opening(url, post.id, post.open, attempt)
    status = courier.envelope_status(url, post.id, post.withdraw)
    assert (status.state, status.opened) == (EnvelopeState.OPENED, 1)
    assert (status.delivered_at, status.opened_at) == (NOON, NOON)
    with pytest.raises(UsedUp):
        courier.open_share(url, post.id, post.open, attempt)
    with pytest.raises(NoSuchBlob):
        download_bytes(courier, url, post.blob_id, post.fetch)


@pytest.mark.threat("n-plus-one-views")
def test_every_request_may_be_repeated(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message(opens=1)
    attempt = post.new_attempt()
    courier.create_mailbox(url, post.mailbox, post.owner)
    courier.upload_blob(url, post.token, post.blob_deposit(), post.blob)
    courier.post(url, post.token, post.envelope(1))
    assert len(courier.waiting_envelopes(url, post.mailbox, post.owner, 0)) == 1
    for _ in range(2):
        assert courier.open_share(url, post.id, post.open, attempt) == post.share
    for _ in range(2):
        courier.finish_opening(url, post.id, post.open, attempt)
    for _ in range(2):
        courier.acknowledge(url, post.mailbox, post.owner, post.id)
    courier.post(url, post.token, post.envelope(1))
    assert courier.waiting_envelopes(url, post.mailbox, post.owner, 0) == []
    for _ in range(2):
        assert courier.withdraw(url, post.id, post.withdraw).opened == 1


@pytest.mark.threat("view-once-bypass")
def test_a_hundred_racing_openers_get_one_share(testbed: RelayTestbed) -> None:
    post = testbed.create_mailbox_with_message(opens=1)

    def try_to_open(number: int) -> bool:
        attempt = number.to_bytes(16)
        try:
            return (
                testbed.courier.open_share(testbed.url, post.id, post.open, attempt) == post.share
            )
        except UsedUp:
            return False

    racers = 1 if testbed.url.startswith("https") else 32
    with ThreadPoolExecutor(racers) as pool:
        outcomes = list(pool.map(try_to_open, range(100)))
    assert sum(outcomes) == 1
    assert testbed.courier.envelope_status(testbed.url, post.id, post.withdraw).opened == 1


def test_recalled_message_cannot_be_opened_or_downloaded(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message()
    courier.open_share(url, post.id, post.open, post.new_attempt())
    status = courier.withdraw(url, post.id, post.withdraw)
    assert (status.state, status.opened) == (EnvelopeState.TAKEN_BACK, 1)
    assert courier.waiting_envelopes(url, post.mailbox, post.owner, 0) == []
    with pytest.raises(TakenBack, match="took it back"):
        courier.open_share(url, post.id, post.open, post.new_attempt())
    with pytest.raises(NoSuchBlob):
        download_bytes(courier, url, post.blob_id, post.fetch)
    courier.finish_opening(url, post.id, post.open, post.new_attempt())


def test_expired_message_reports_when_it_expired(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message()
    testbed.pass_days(days=7)
    with pytest.raises(Expired) as refused:
        courier.open_share(url, post.id, post.open, post.new_attempt())
    assert refused.value.facts == {"when": post.until}
    assert courier.waiting_envelopes(url, post.mailbox, post.owner, 0) == []
    with pytest.raises(NoSuchBlob):
        download_bytes(courier, url, post.blob_id, post.fetch)
    assert courier.withdraw(url, post.id, post.withdraw).state is EnvelopeState.EXPIRED


def test_mailbox_pages_are_in_order_without_gaps(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    letters = [post.new_envelope() for _ in range(53)]
    for letter in letters:
        courier.post(url, post.token, letter)
    page = courier.waiting_envelopes(url, post.mailbox, post.owner, 0)
    rest = courier.waiting_envelopes(url, post.mailbox, post.owner, page[-1].sequence)
    assert [one.id for one in page + rest] == [letter.id for letter in letters]
    assert [one.sequence for one in page + rest] == list(range(1, 54))
    assert len(page) == 50


def test_prekeys_are_handed_out_once(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    keys = Prekeys((b"one", b"two"), b"fallback", b"xwing")
    assert courier.publish_prekeys(url, post.mailbox, post.owner, DEVICE, keys) == 2
    claimed = [courier.claim_prekeys(url, post.mailbox, post.token, DEVICE) for _ in range(3)]
    assert {bundle.one_time for bundle in claimed} == {b"one", b"two", None}
    assert {(b.device, b.fallback, b.xwing) for b in claimed} == {(DEVICE, b"fallback", b"xwing")}
    assert courier.publish_prekeys(url, post.mailbox, post.owner, DEVICE, keys) == 0
    more = Prekeys(tuple(b"%d" % number for number in range(60)), b"fallback", b"xwing")
    assert courier.publish_prekeys(url, post.mailbox, post.owner, DEVICE, more) == 50
    assert courier.prekey_count(url, post.mailbox, post.owner, DEVICE) == 50


def test_new_prekey_set_replaces_the_previous_one(testbed: RelayTestbed) -> None:
    """The second set replaces the first. Publishing the second set again changes nothing."""
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    first = Prekeys((b"1", b"2", b"3"), b"fallback 1", b"xwing 1")
    second = Prekeys((b"3", b"4"), b"fallback 2", b"xwing 2")
    for keys, stored in ((first, 3), (second, 2), (second, 2)):
        assert courier.publish_prekeys(url, post.mailbox, post.owner, DEVICE, keys) == stored
    claimed = [courier.claim_prekeys(url, post.mailbox, post.token, DEVICE) for _ in range(3)]
    assert {bundle.one_time for bundle in claimed} == {b"3", b"4", None}
    assert {(b.fallback, b.xwing) for b in claimed} == {(b"fallback 2", b"xwing 2")}
    assert courier.publish_prekeys(url, post.mailbox, post.owner, DEVICE, first) == 2


@pytest.mark.threat("prekey-depletion")
def test_prekey_claims_are_limited_per_hour(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    with pytest.raises(NoPrekeys):
        courier.claim_prekeys(url, post.mailbox, post.token, DEVICE)
    keys = Prekeys((), b"fallback", b"xwing")
    courier.publish_prekeys(url, post.mailbox, post.owner, DEVICE, keys)
    for _ in range(20):
        courier.claim_prekeys(url, post.mailbox, post.token, DEVICE)
    testbed.clock.advance(minutes=10)
    with pytest.raises(TooMany) as refused:
        courier.claim_prekeys(url, post.mailbox, post.token, DEVICE)
    assert refused.value.facts == {"retry_after_s": 3000}
    testbed.clock.advance(seconds=3000)
    courier.claim_prekeys(url, post.mailbox, post.token, DEVICE)


def test_send_token_admits_the_registered_number_of_letters(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token(uses=2)
    first, second = post.new_envelope(), post.new_envelope()
    for letter in (first, first, second):
        courier.post(url, post.token, letter)
    with pytest.raises(WrongToken):
        courier.post(url, post.token, post.new_envelope())
    courier.post(url, post.token, second)
    assert len(courier.waiting_envelopes(url, post.mailbox, post.owner, 0)) == 2


def test_registering_a_token_again_does_not_refill_it(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token(uses=2)
    courier.post(url, post.token, post.new_envelope())
    courier.register_token(url, post.mailbox, post.owner, post.send_token(2))
    courier.post(url, post.token, post.new_envelope())
    with pytest.raises(WrongToken):
        courier.post(url, post.token, post.new_envelope())


def test_expired_or_withdrawn_tokens_are_refused(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    testbed.pass_days(days=100)
    with pytest.raises(WrongToken):
        courier.key_bundle(url, post.mailbox, post.token)
    courier.register_token(
        url, post.mailbox, post.owner, SendToken(token_hash(post.token), None, None)
    )
    with pytest.raises(NoSuchMailbox):
        courier.key_bundle(url, post.mailbox, post.token)
    courier.publish_key_bundle(url, post.mailbox, post.owner, b"card")
    assert courier.key_bundle(url, post.mailbox, post.token) == b"card"
    assert courier.key_bundle(url, post.mailbox, post.owner) == b"card"
    courier.drop_send_token(url, post.mailbox, post.owner, token_hash(post.token))
    with pytest.raises(WrongToken):
        courier.key_bundle(url, post.mailbox, post.token)


@pytest.mark.threat("others-rights")
def test_requests_with_the_token_of_another_role_are_refused(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message()
    keys, other = Prekeys((), b"fallback", b"xwing"), post.unrelated_token
    for refused in (
        lambda: courier.publish_key_bundle(url, post.mailbox, post.token, b"card"),
        lambda: courier.key_bundle(url, post.mailbox, other),
        lambda: courier.publish_prekeys(url, post.mailbox, post.token, DEVICE, keys),
        lambda: courier.prekey_count(url, post.mailbox, post.token, DEVICE),
        lambda: courier.claim_prekeys(url, post.mailbox, post.owner, DEVICE),
        lambda: courier.register_token(url, post.mailbox, post.token, post.send_token()),
        lambda: courier.drop_send_token(url, post.mailbox, post.token, token_hash(post.token)),
        lambda: courier.upload_blob(
            url, other, replace(post.blob_deposit(), id=BlobId(b"B" * 16)), post.blob
        ),
        lambda: download_bytes(courier, url, post.blob_id, post.open),
        lambda: courier.post(url, other, post.new_envelope()),
        lambda: courier.waiting_envelopes(url, post.mailbox, post.token, 0),
        lambda: courier.acknowledge(url, post.mailbox, post.token, post.id),
        lambda: courier.open_share(url, post.id, post.withdraw, post.new_attempt()),
        lambda: courier.finish_opening(url, post.id, post.withdraw, post.new_attempt()),
        lambda: courier.withdraw(url, post.id, post.open),
        lambda: courier.envelope_status(url, post.id, post.open),
    ):
        with pytest.raises(WrongToken):
            refused()
    assert testbed.envelope_state(post) is EnvelopeState.WAITING


def test_another_mailbox_cannot_acknowledge(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message()
    thief = MailboxId(b"T" * 16)
    courier.create_mailbox(url, thief, post.unrelated_token)
    courier.acknowledge(url, thief, post.unrelated_token, post.id)
    assert len(courier.waiting_envelopes(url, post.mailbox, post.owner, 0)) == 1


def test_ids_already_used_are_refused(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message()
    with pytest.raises(IdInUse):
        courier.create_mailbox(url, post.mailbox, post.unrelated_token)
    with pytest.raises(IdInUse):
        courier.post(url, post.token, replace(post.envelope(), sealed=b"other"))
    changed = replace(post.blob_deposit(), sha256=sha256(b"x"), size=1)
    with pytest.raises(IdInUse):
        courier.upload_blob(url, post.token, changed, b"x")
    courier.acknowledge(url, post.mailbox, post.owner, post.id)
    courier.withdraw(url, post.id, post.withdraw)
    with pytest.raises(IdInUse):
        courier.post(url, post.token, replace(post.envelope(), sealed=b"other"))


def test_blob_serves_only_the_envelope_it_was_uploaded_for(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    with pytest.raises(NoSuchBlob):
        courier.post(url, post.token, post.envelope())
    courier.upload_blob(url, post.token, post.blob_deposit(), post.blob)
    thief = replace(post.envelope(), withdraw_lock=token_hash(post.unrelated_token))
    with pytest.raises(NoSuchBlob):
        courier.post(url, post.token, thief)
    courier.post(url, post.token, post.envelope())
    with pytest.raises(IdInUse):
        courier.post(url, post.token, replace(post.envelope(), id=EnvelopeId(b"2" * 16)))


def test_blob_that_differs_from_its_deposit_is_not_stored(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    for damaged in (post.blob[:-1] + b"x", post.blob[:-1], post.blob + b"x"):
        deposit = replace(post.blob_deposit(), size=len(damaged))
        with pytest.raises(DamagedBlob):
            courier.upload_blob(url, post.token, deposit, damaged)
        with pytest.raises(NoSuchBlob):
            download_bytes(courier, url, post.blob_id, post.fetch)
    courier.upload_blob(url, post.token, post.blob_deposit(), post.blob)


def test_too_large_bodies_and_invalid_expiry_times_are_refused(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    with pytest.raises(TooLarge, match=str(SEALED_LETTER_BYTES_MAX)):
        courier.post(
            url,
            post.token,
            replace(post.new_envelope(), sealed=b"x" * (SEALED_LETTER_BYTES_MAX + 1)),
        )
    courier.post(
        url, post.token, replace(post.new_envelope(), sealed=b"x" * SEALED_LETTER_BYTES_MAX)
    )
    with pytest.raises(TooLarge, match=str(ENCRYPTED_KEY_BUNDLE_BYTES_MAX)):
        courier.publish_key_bundle(
            url, post.mailbox, post.owner, b"x" * (ENCRYPTED_KEY_BUNDLE_BYTES_MAX + 1)
        )
    with pytest.raises(Expired):
        courier.post(url, post.token, replace(post.new_envelope(), expires_at=NOON))
    late = replace(post.new_envelope(), expires_at=NOON + timedelta(days=31))
    with pytest.raises(TooFarAhead, match=r"30\sdays"):
        courier.post(url, post.token, late)
    assert BLOB_BYTES_MAX == 4 * 1024**3


def test_unknown_ids_are_not_found(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, SampleMessage()
    with pytest.raises(NoSuchMailbox):
        courier.waiting_envelopes(url, post.mailbox, post.owner, 0)
    with pytest.raises(NoSuchMailbox):
        courier.post(url, post.token, post.new_envelope())
    with pytest.raises(NoSuchEnvelope):
        courier.open_share(url, post.id, post.open, post.new_attempt())
    with pytest.raises(NoSuchEnvelope):
        courier.withdraw(url, post.id, post.withdraw)
    with pytest.raises(NoSuchBlob):
        download_bytes(courier, url, post.blob_id, post.fetch)


def test_envelope_recalled_before_it_arrives_is_refused_for_an_hour(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    for _ in range(2):
        with pytest.raises(NoSuchEnvelope) as error:
            courier.withdraw(url, post.id, post.withdraw)
        assert error.value.facts == {"refused_until": NOON + timedelta(hours=1)}
    with pytest.raises(NoSuchEnvelope):
        courier.envelope_status(url, post.id, post.withdraw)
    with pytest.raises(WrongToken):
        courier.withdraw(url, post.id, post.token)
    late = post.envelope(blobs=False)
    with pytest.raises(TakenBack):
        courier.post(url, post.token, late)
    with pytest.raises(IdInUse):  # an envelope with the same id and another withdraw token
        courier.post(url, post.token, replace(late, withdraw_lock=token_hash(post.owner)))
    assert courier.waiting_envelopes(url, post.mailbox, post.owner, 0) == []


def test_letter_without_a_share_cannot_be_opened(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    letter = post.new_envelope()
    courier.post(url, post.token, letter)
    with pytest.raises(NoSuchEnvelope):
        courier.open_share(url, letter.id, post.open, post.new_attempt())


@pytest.mark.threat("n-plus-one-views")
def test_blob_is_deleted_when_the_last_opening_finishes(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message(opens=2)
    one, two = post.new_attempt(), post.new_attempt()
    courier.open_share(url, post.id, post.open, one)
    courier.open_share(url, post.id, post.open, two)
    testbed.clock.advance(hours=1)
    courier.open_share(url, post.id, post.open, one)
    courier.finish_opening(url, post.id, post.open, one)
    assert download_bytes(courier, url, post.blob_id, post.fetch) == post.blob
    courier.finish_opening(url, post.id, post.open, two)
    with pytest.raises(NoSuchBlob):
        download_bytes(courier, url, post.blob_id, post.fetch)


def test_first_opening_time_is_reported(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message(opens=2)
    for _ in range(2):
        courier.open_share(url, post.id, post.open, post.new_attempt())
        testbed.clock.advance(hours=1)
    status = courier.envelope_status(url, post.id, post.withdraw)
    assert (status.opened, status.opened_at) == (2, NOON)


def test_message_without_limit_opens_until_it_expires(testbed: RelayTestbed) -> None:
    courier, url, post = (
        testbed.courier,
        testbed.url,
        testbed.create_mailbox_with_message(opens=None),
    )
    for _ in range(3):
        attempt = post.new_attempt()
        assert courier.open_share(url, post.id, post.open, attempt) == post.share
        courier.finish_opening(url, post.id, post.open, attempt)
    assert courier.envelope_status(url, post.id, post.withdraw).opened == 3
    testbed.pass_days(days=8)
    with pytest.raises(Expired):
        courier.open_share(url, post.id, post.open, post.new_attempt())


@pytest.mark.threat("hostile-network")
def test_plain_http_is_refused_for_remote_relays(testbed: RelayTestbed) -> None:
    for far in ("http://relay.example", "http://192.0.2.1:80", "HTTP://relay.example"):
        with pytest.raises(NotEncrypted, match="https"):
            testbed.courier.envelope_status(far, EnvelopeId(b"E" * 16), Secret(b"t" * 32))
    for odd in ("ftp://relay.example", "relay.example", ""):
        with pytest.raises(NotARelay):
            testbed.courier.envelope_status(odd, EnvelopeId(b"E" * 16), Secret(b"t" * 32))


def test_unreachable_relay_raises_relay_unreachable(testbed: RelayTestbed) -> None:
    with pytest.raises(RelayUnreachable, match=r"127\.0\.0\.1:1 does not answer"):
        testbed.courier.envelope_status(
            "http://127.0.0.1:1", EnvelopeId(b"E" * 16), Secret(b"t" * 32)
        )


class InterruptedFile(io.BytesIO):
    """A file that raises KeyboardInterrupt after ``size_limit`` bytes."""

    size_limit = 3000

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self.size_limit:
            raise KeyboardInterrupt
        return super().read(min(1000, size or 1000))

    def write(self, data: Any) -> int:
        taken = bytes(data)[: self.size_limit - self.tell()]
        super().write(taken)
        if len(taken) < len(bytes(data)):
            raise KeyboardInterrupt
        return len(taken)


def test_interrupted_upload_is_resumed(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_token()
    mine = (url, post.mailbox, post.blob_id, post.withdraw)
    assert courier.uploaded_size(*mine) == 0
    with pytest.raises(WrongOffset):
        courier.upload_blob(url, post.token, post.blob_deposit(), post.blob, 1)
    with pytest.raises(KeyboardInterrupt):
        courier.upload_blob(url, post.token, post.blob_deposit(), InterruptedFile(post.blob))
    uploaded = courier.uploaded_size(*mine)
    assert uploaded <= InterruptedFile.size_limit
    courier.upload_blob(url, post.token, post.blob_deposit(), io.BytesIO(post.blob), uploaded)
    assert courier.uploaded_size(*mine) == len(post.blob)
    assert download_bytes(courier, url, post.blob_id, post.fetch) == post.blob
    courier.upload_blob(url, post.token, post.blob_deposit(), io.BytesIO(post.blob), len(post.blob))


def test_only_the_uploader_may_query_the_uploaded_size(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message()
    for token in (post.token, post.fetch, post.owner):
        with pytest.raises(WrongToken):
            courier.uploaded_size(url, post.mailbox, post.blob_id, token)


def test_interrupted_download_is_resumed(testbed: RelayTestbed) -> None:
    courier, url, post = testbed.courier, testbed.url, testbed.create_mailbox_with_message()
    received = InterruptedFile()
    with pytest.raises(KeyboardInterrupt):
        courier.download_blob(url, post.blob_id, post.fetch, received)
    assert received.getvalue() == post.blob[: InterruptedFile.size_limit]
    rest = io.BytesIO()
    courier.download_blob(url, post.blob_id, post.fetch, rest, InterruptedFile.size_limit)
    assert rest.getvalue() == post.blob[InterruptedFile.size_limit :]
