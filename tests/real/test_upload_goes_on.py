"""After a relay is killed during a large upload and restarted, only the rest is sent."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.base.identifiers import ID_BYTES, MessageId, MessageName, RecipientId
from entrenous.base.secret import Secret
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.device import Device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import FlushResult, flush_outbox
from entrenous.send.letter.letter_nouns import ContentFile, FileRole, PersonDeviceListHead
from entrenous.send.letter.write import addressees, seal_and_queue_letter
from entrenous.send.message.draft import MessagePolicy
from entrenous.send.message.make import FileForDevice, SendingContext, seal_content
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.set_up import set_up
from tests.in_memory.vault import MemoryVault
from tests.real.processes import Server, wait_until

FILE_BYTES = 96 * 1024 * 1024
# The most bytes that are in buffers between the sender and the relay. A kill loses these bytes.
BUFFERED_BYTES_MAX = 16 * 1024 * 1024

pytestmark = pytest.mark.real


class CountingCourier:
    """A courier that counts the uploaded bytes of blobs."""

    def __init__(self, courier: HttpCourier) -> None:
        self._courier = courier
        self.sent_bytes = 0

    def __getattr__(self, call: str) -> Any:
        return getattr(self._courier, call)

    def upload_blob(self, url: str, token: Any, deposit: Any, data: Any, start: int = 0) -> None:
        read = data.read

        def read_and_count(size: int = -1) -> bytes:
            part: bytes = read(size)
            self.sent_bytes += len(part)
            return part

        data.read = read_and_count
        try:
            self._courier.upload_blob(url, token, deposit, data, start)
        finally:
            data.read = read


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Server]:
    relay = Server(tmp_path / "relay", ("relay", "run"))
    relay.start()
    yield relay
    relay.stop()


def create_memory_device(courier: HttpCourier) -> Device:
    clock, random_source, vault = SystemClock(), SystemRandomSource(), MemoryVault()
    return Device(clock, random_source, vault, VaultLedger(vault), courier, read_picture)


def queue_large_message(ana: Device) -> None:
    """Seal a message to Ben with one large file, and put it into the outbox."""
    (to,) = addressees(contact_named("ben", ana), ana)
    person = to.contact.person
    sending = SendingContext(
        message=MessageId(ana.random_source.token(ID_BYTES)),
        name=MessageName("1-lunar-otter"),
        sent_at=now_in_whole_seconds(ana),
        policy=MessagePolicy(now_in_whole_seconds(ana) + timedelta(days=1)),
        audience=((person.id, to.key.device),),
        heads=(PersonDeviceListHead(person.id, person.epoch, person.head),),
        groups=Secret(bytes(32)),
    )
    file = ContentFile("video/mp4", secrets.token_bytes(FILE_BYTES), FileRole.CLIP)
    made = seal_content((FileForDevice(file, bytes(32)),), None, to, sending, ana)
    seal_and_queue_letter(made.manifest, to, made.outer, ana)
    copy = CopyDelivery(
        sending.message,
        RecipientId("ben"),
        person.id,
        to.key.device,
        person.relay_url,
        made.outer.envelope,
        made.outer.withdraw_token,
    )
    COPY_DELIVERY_TABLE.store(copy, made.outer.envelope.hex(), ana.vault)


def largest_file_bytes(relay: Server) -> int:
    """Return the size of the largest file that the relay stores, in bytes."""
    files = (path.stat().st_size for path in relay.folder.rglob("*") if path.is_file())
    return max(files, default=0)


def test_relay_killed_halfway_only_gets_the_rest(relay: Server) -> None:
    with closing(new_relay_client()) as client:
        courier = HttpCourier(client, 60.0)
        ana, ben = create_memory_device(courier), create_memory_device(courier)
        for name, one in (("ana", ana), ("ben", ben)):
            set_up(name, relay.url, one)
        add_person(make_invite_link(ben), "ben", ana)
        for one in (ben, ana):
            fetch_messages(one)
        queue_large_message(ana)
        counting = CountingCourier(courier)
        done: list[FlushResult] = []
        sending = threading.Thread(
            target=lambda: done.append(flush_outbox(replace(ana, courier=counting)))
        )
        sending.start()
        assert wait_until(lambda: largest_file_bytes(relay) > FILE_BYTES // 2, 120)
        relay.stop(SIGKILL)
        before, stored_bytes = counting.sent_bytes, largest_file_bytes(relay)
        assert FILE_BYTES // 2 < stored_bytes < FILE_BYTES
        relay.start()
        sending.join(120)
    assert [flushed.posted_count for flushed in done] == [1]
    assert counting.sent_bytes - before <= 0.52 * FILE_BYTES
    assert counting.sent_bytes <= FILE_BYTES + BUFFERED_BYTES_MAX
