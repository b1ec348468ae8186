"""Two relays that share their rows in PostgreSQL and their blobs in a bucket."""

import asyncio
from pathlib import Path

import pytest

from entrenous.base.identifiers import MailboxId
from entrenous.carry.blob_upload import find_blob, upload_blob
from entrenous.carry.mailbox import create_mailbox
from entrenous.carry.open_relay import open_relay
from entrenous.carry.relay import Relay
from entrenous.carry.send_tokens import register_send_token
from entrenous.crypto.hashing import token_hash
from tests.carry.relays import SampleMessage, in_three_days, stream
from tests.postgres import Cluster
from tests.swift import ACCESS_KEY, REGION, SECRET_KEY, Swift

pytestmark = pytest.mark.real


async def upload(relay: Relay, message: SampleMessage) -> None:
    await create_mailbox(message.mailbox, token_hash(message.owner), relay)
    await register_send_token(message.mailbox, message.owner, message.send_token(), relay)
    await upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay)


async def download(relay: Relay, message: SampleMessage) -> bytes:
    stored = await find_blob(message.blob_id, message.fetch, relay)
    chunks = await relay.blobs.read(stored.name, 0, stored.size)
    return b"".join([chunk async for chunk in chunks])


def test_blob_uploaded_to_one_relay_is_downloaded_from_another(
    tmp_path: Path, postgres: Cluster, swift_server: Swift, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, message = (
        postgres.create_database(),
        SampleMessage(until=in_three_days()),
    )
    message.mailbox = MailboxId(b"M" * 16)
    for name, value in (
        ("AWS_ENDPOINT", f"http://127.0.0.1:{swift_server.port}"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
    ):
        monkeypatch.setenv(name, value)
    elsewhere = {"database": database, "blobs": f"s3://{swift_server.create_bucket()}/relay"}
    with open_relay(tmp_path / "first", **elsewhere) as relay:  # type: ignore[arg-type]
        asyncio.run(upload(relay, message))
    with open_relay(tmp_path / "second", **elsewhere) as relay:  # type: ignore[arg-type]
        assert asyncio.run(download(relay, message)) == message.blob
