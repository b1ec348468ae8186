"""Tests of uploads: resuming, progress queries, and cancelling or recalling the message."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from entrenous.base.errors import RelayUnreachable, WrongOffset
from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import RESUMABLE_UPLOAD_BYTES_MIN
from entrenous.base.secret import Secret
from entrenous.carry.blob_upload import upload_blob
from entrenous.carry.relay import Relay
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.message.draft import Draft, MessagePolicy, SendingUndone, WaitsInOutbox
from entrenous.send.open import open_message
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.wire.relay_nouns import BlobDeposit
from tests.in_memory.courier import run_sync
from tests.village.crashes import Crash
from tests.village.world import SingleRelayNetwork, photo

pytestmark = pytest.mark.slow


class ConnectionCut(Exception):
    """Simulates a connection that breaks during a request."""


@dataclass
class BreakingCourier:
    """A courier that counts uploaded bytes and progress queries, and can interrupt uploads.

    Each entry of ``interruptions`` interrupts the upload of a large body once. The first value is
    the share of the remaining bytes that still arrive. The second value is the error that the
    device sees. If the second value is ``None``, the courier retries by itself.
    """

    courier: Any
    relay: Relay
    interruptions: list[tuple[float, BaseException | None]] = field(default_factory=list)
    sent_bytes: int = 0
    size_queries: int = 0

    def __getattr__(self, call: str) -> Any:
        return getattr(self.courier, call)

    def uploaded_size(self, *arguments: Any) -> int:
        self.size_queries += 1
        arrived_bytes: int = self.courier.uploaded_size(*arguments)
        return arrived_bytes

    def upload_blob(
        self, url: str, token: Secret, deposit: BlobDeposit, data: Any, start: int = 0
    ) -> None:
        while self.interruptions and deposit.size > RESUMABLE_UPLOAD_BYTES_MIN:
            share, error = self.interruptions[0]
            data.seek(start)
            self.interruptions.pop(0)
            self._upload_part(
                deposit, token, data.read(round(share * (deposit.size - start))), start
            )
            if error is not None:
                raise error
        self.courier.upload_blob(url, token, deposit, data, start)
        self.sent_bytes += deposit.size - start

    def _upload_part(self, deposit: BlobDeposit, token: Secret, part: bytes, start: int) -> None:
        """Upload a part of a body, then cut the connection."""

        async def chunks() -> AsyncIterator[bytes]:
            yield part
            raise ConnectionCut

        self.sent_bytes += len(part)
        with pytest.raises(ConnectionCut):
            run_sync(upload_blob(deposit, token, chunks(), self.relay, start))


@cache
def noise_picture() -> bytes:
    """Return a picture of noise, whose copy is large enough for a resumable upload."""
    pixels = np.random.default_rng(3).integers(0, 256, (600, 620, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@dataclass
class Conversation:
    """Ana, whose connection can break, and Ben."""

    village: SingleRelayNetwork
    courier: BreakingCourier

    def send(self, picture: bytes) -> None:
        ana = self.village.people["ana"].device
        ben = RecipientId("ben")
        policy = MessagePolicy(ana.clock.now().replace(year=ana.clock.now().year, day=28))
        draft = Draft((picture,), (ben,), policy, confirmed=frozenset(["ben"]))
        send_message(draft, replace(ana, courier=self.courier))

    def restart(self) -> None:
        """Fetch on Ana's device, as after a restart of her program."""
        ana = self.village.people["ana"].device
        fetch_messages(replace(ana, courier=self.courier))

    @property
    def opened_bytes(self) -> int:
        """The number of file bytes that Ben can open."""
        ben = self.village.people["ben"].device
        fetch_messages(ben)
        opened = (open_message(one.name, ben).files for one in received_messages(ben))
        return sum(len(file.data) for files in opened for file in files)


@pytest.fixture
def conversation() -> Conversation:
    village = SingleRelayNetwork()
    village.set_up_person("ana").add_contact(village.set_up_person("ben"))
    return Conversation(village, BreakingCourier(village.courier, village.relay))


def test_an_uninterrupted_upload_does_not_query_progress(conversation: Conversation) -> None:
    conversation.send(noise_picture())
    assert conversation.courier.size_queries == 0
    assert conversation.opened_bytes > RESUMABLE_UPLOAD_BYTES_MIN


@pytest.mark.parametrize(
    "interruption",
    [Crash(), KeyboardInterrupt(), RelayUnreachable(host="x")],
    ids=["crash", "interrupt", "unreachable"],
)
def test_after_a_restart_only_the_rest_is_uploaded_unless_the_user_cancelled(
    conversation: Conversation, interruption: BaseException
) -> None:
    conversation.courier.interruptions = [(0.5, interruption)]
    expected = {RelayUnreachable: WaitsInOutbox, KeyboardInterrupt: SendingUndone}
    with pytest.raises(expected.get(type(interruption), type(interruption))):
        conversation.send(noise_picture())
    if isinstance(interruption, KeyboardInterrupt):
        conversation.restart()
        assert conversation.opened_bytes == 0  # the user cancelled the message
        return
    first = conversation.courier.sent_bytes
    conversation.restart()
    arrived_bytes = conversation.opened_bytes
    assert arrived_bytes > RESUMABLE_UPLOAD_BYTES_MIN
    assert conversation.courier.size_queries == 2  # one for the frame's blob, one for the picture's
    assert conversation.courier.sent_bytes - first <= 0.52 * conversation.courier.sent_bytes
    assert conversation.courier.sent_bytes < 1.05 * arrived_bytes


def test_a_repeatedly_interrupted_upload_sends_few_bytes_twice(conversation: Conversation) -> None:
    conversation.courier.interruptions = [(0.3, RelayUnreachable(host="x")) for _ in range(6)]
    with pytest.raises(WaitsInOutbox):
        conversation.send(noise_picture())
    for _ in range(6):
        conversation.restart()
    arrived_bytes = conversation.opened_bytes
    assert arrived_bytes > RESUMABLE_UPLOAD_BYTES_MIN
    assert conversation.courier.sent_bytes < 1.10 * arrived_bytes


def test_a_retrying_courier_resumes_after_the_bytes_that_arrived(
    conversation: Conversation,
) -> None:
    conversation.courier.interruptions = [(0.5, None), (0.5, None)]
    conversation.send(noise_picture())
    arrived_bytes = conversation.opened_bytes
    assert arrived_bytes > RESUMABLE_UPLOAD_BYTES_MIN
    assert conversation.courier.size_queries == 2
    assert conversation.courier.sent_bytes < 1.05 * arrived_bytes


def test_many_retries_by_the_courier_cause_few_progress_queries(conversation: Conversation) -> None:
    conversation.courier.interruptions = [(0.0, None)] * 20
    conversation.send(noise_picture())
    assert conversation.courier.interruptions == []
    assert conversation.courier.size_queries < 10
    assert conversation.opened_bytes > RESUMABLE_UPLOAD_BYTES_MIN


@dataclass
class LyingCourier:
    """Simulates a relay that claims to have a part of a body, but refuses the rest of the body."""

    courier: Any
    size_queries: int = 0
    attempts: int = 3

    def __getattr__(self, call: str) -> Any:
        return getattr(self.courier, call)

    def uploaded_size(self, *_arguments: Any) -> int:
        self.size_queries += 1
        return RESUMABLE_UPLOAD_BYTES_MIN // 2

    def upload_blob(
        self, url: str, token: Secret, deposit: BlobDeposit, data: Any, start: int = 0
    ) -> None:
        if deposit.size < RESUMABLE_UPLOAD_BYTES_MIN:
            return self.courier.upload_blob(url, token, deposit, data, start)
        assert self.size_queries < 50
        if start:
            raise WrongOffset
        for _ in range(self.attempts):
            data.seek(0)
            data.read(3)
        raise RelayUnreachable(host="x")


def test_a_relay_that_lies_about_progress_is_queried_only_a_few_times(
    conversation: Conversation,
) -> None:
    liar = LyingCourier(conversation.village.courier)
    conversation.courier = cast("Any", liar)
    with pytest.raises(WaitsInOutbox):
        conversation.send(noise_picture())
    assert 0 < liar.size_queries < 10


def test_bytes_lost_by_the_relay_are_uploaded_again(conversation: Conversation) -> None:
    conversation.courier.interruptions = [(0.5, RelayUnreachable(host="x")), (0.0, WrongOffset())]
    with pytest.raises(WaitsInOutbox):
        conversation.send(noise_picture())
    conversation.restart()
    assert conversation.opened_bytes > RESUMABLE_UPLOAD_BYTES_MIN


def test_small_blobs_are_uploaded_whole_without_progress_queries(
    conversation: Conversation,
) -> None:
    conversation.courier.interruptions = [(0.5, Crash())]
    conversation.send(photo(width_px=160))
    assert conversation.courier.interruptions != []  # the interruption was not used
    assert conversation.courier.size_queries == 0
    assert conversation.opened_bytes > 0


def test_a_message_recalled_during_its_upload_never_opens(conversation: Conversation) -> None:
    conversation.courier.interruptions = [(0.5, Crash())]
    with pytest.raises(Crash):
        conversation.send(noise_picture())
    ana = conversation.village.people["ana"].device
    (message,) = ana.ledger.messages()
    recall_message(message.name, ana)
    conversation.restart()
    assert conversation.opened_bytes == 0
