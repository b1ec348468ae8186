"""A proxy that records a day's traffic of five people learns nothing private, even without TLS.

The traffic and the relay's data and log contain no text, name, picture or file name. Sealed data
has one of the padded sizes.
"""

import base64
import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.limits import PADDED_KEY_BUNDLE_SIZES_BYTES
from entrenous.base.program import this_program_version
from entrenous.crypto.hpke import SEAL_OVERHEAD_BYTES
from entrenous.crypto.seal import PADDED_SIZES_BYTES
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.vault_tables import REACTION, RECEIPT
from entrenous.send.formats.message_format import padded_length
from entrenous.send.inbox import received_messages
from entrenous.wire.encodings import from_base64url
from entrenous.wire.relay_nouns import EnvelopeState
from tests.media.test_no_metadata_left import MARKER, marker_encodings
from tests.real.processes import Server, names_and_contents
from tests.real.recorded_day import (
    BEN,
    NAMES,
    PHOTO_FILE_NAME,
    REACTION_TEXT,
    TEXTS,
    Day,
    DayClock,
    run_day,
    set_up_device,
)
from tests.real.wire import record_traffic

pytestmark = pytest.mark.real

VERSION_AND_KEY_BYTES = 9
# Sizes in bytes of the JSON members that have neither 16 nor 32 bytes.
LENGTHS_BY_MEMBER = {
    "sealed": {size + SEAL_OVERHEAD_BYTES + VERSION_AND_KEY_BYTES for size in PADDED_SIZES_BYTES},
    "one_time": {313},
    "fallback": {313},
    "xwing": {6905},
}
PROGRAM = this_program_version()
PUBLIC_RELAY_STRINGS = {"entrenous/relay-status/1", PROGRAM.version, PROGRAM.commit}
PUBLIC_RELAY_STRINGS |= set(map(str, EnvelopeState))
AGE_NONCE_BYTES, AGE_CHUNK_BYTES, AGE_TAG_BYTES = 16, 65_536, 16


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("day")
    relay = Server(folder / "relay", ("relay", "run"))
    with ExitStack() as servers_and_clients:
        relay.start()
        servers_and_clients.callback(relay.stop)
        with record_traffic(relay.url) as wire:
            day = Day(wire, relay, DayClock(), folder)
            for name in NAMES[1:]:
                client = servers_and_clients.enter_context(new_relay_client())
                day.devices[name] = set_up_device(name, HttpCourier(client), day)
            run_day(day)
            servers_and_clients.pop_all().close()  # all clients disconnect, and the relay stops
        yield day


def private_byte_strings(day: Day) -> list[bytes]:
    """Return private texts and pieces of private files, as bytes and as parts of base64 texts."""
    data = (day.folder / PHOTO_FILE_NAME).read_bytes()
    pieces = [data[at : at + 24] for at in range(600, len(data) - 24, 499)]
    words = [*NAMES, *(part for name in NAMES for part in name.split()), *TEXTS, REACTION_TEXT]
    words += [PHOTO_FILE_NAME, Path(PHOTO_FILE_NAME).stem, *message_names(day)]
    plain = [
        *(one.encode() for one in words),
        *marker_encodings(MARKER),
        b"JFIF\0",
        b"Exif\0\0",
        b"OggS\0\2",
    ]
    plain += [*pieces, *day.private_parts]
    return [*plain, *(form for one in plain if len(one) >= 8 for form in base64_fragments(one))]


def message_names(day: Day) -> set[str]:
    every = (one for device in day.devices.values() for one in received_messages(device))
    return {str(one.name) for one in every}


def base64_fragments(data: bytes) -> Iterator[bytes]:
    """Yield the base64 characters by which ``data`` can be found in encoded longer data.

    The characters that also depend on neighbouring bytes are left out. There are three alignments
    and two alphabets.
    """
    for before in range(3):
        coded = base64.b64encode(bytes(before) + data)
        determined = coded[math.ceil(before * 4 / 3) : (before + len(data)) // 3 * 4]
        yield determined
        yield determined.replace(b"+", b"-").replace(b"/", b"_")


def find_private_bytes(day: Day, *data: bytes) -> list[bytes]:
    return [needle for needle in private_byte_strings(day) if any(needle in one for one in data)]


@pytest.mark.threat("hostile-network")
def test_nothing_on_the_wire_can_be_read(day: Day) -> None:
    flows = day.wire.flows()
    assert sum(map(len, flows)) > 300_000
    assert any(b"PUT /v1/mailboxes/" in flow for flow in flows)
    assert any(b"age-encryption.org/v1" in flow for flow in flows)
    # Compression would hide text.
    assert not any(b"content-encoding" in flow.lower() for flow in flows)
    assert find_private_bytes(day, *flows) == []


def test_search_finds_planted_texts(day: Day) -> None:
    for text in (NAMES[0], TEXTS[1], PHOTO_FILE_NAME):
        for before in range(3):
            data = base64.urlsafe_b64encode(b"x" * before + text.encode() + b"yz")
            assert find_private_bytes(day, data)
    assert find_private_bytes(day, (day.folder / PHOTO_FILE_NAME).read_bytes())


@pytest.mark.threat("hostile-network")
def test_sealed_messages_have_padded_sizes(day: Day) -> None:
    sealed = []
    for one in day.wire.exchanges():
        if one.method == "PUT" and "/envelopes/" in one.path:
            sealed.append(from_base64url(json.loads(one.request_body)["sealed"]))
        if one.method == "GET" and "/envelopes?" in one.path and one.status == 200:
            sealed += [
                from_base64url(each["sealed"])
                for each in json.loads(one.response_body)["envelopes"]
            ]
    assert len(sealed) > 30
    sizes = {len(one) - SEAL_OVERHEAD_BYTES - VERSION_AND_KEY_BYTES for one in sealed}
    assert sizes <= set(PADDED_SIZES_BYTES)
    assert len(sizes) > 1


@pytest.mark.threat("hostile-network")
def test_blobs_have_padded_sizes(day: Day) -> None:
    """The content of each age file is padded. The age header, which varies, is not counted."""
    blobs = []
    for one in day.wire.exchanges():
        if "/blobs/" in one.path and one.method == "PUT":
            blobs.append(one.request_body)
        if "/blobs/" in one.path and one.method == "GET" and one.status == 200:
            blobs += [one.response_body] if one.response_body.startswith(b"age-") else []
    assert len(blobs) > 12
    sizes = {age_plaintext_bytes(one) for one in blobs}
    assert all(size == padded_length(size) for size in sizes)
    assert len(sizes) > 1


@pytest.mark.threat("hostile-network")
def test_lengths_of_requests_and_answers_reveal_nothing(day: Day) -> None:
    """Every body is an age file of a padded size, or JSON with strings of fixed lengths."""
    kinds = set()
    for one in day.wire.exchanges():
        for body in filter(None, (one.request_body, one.response_body)):
            kinds.add(kind := one.path.split("?")[0].split("/")[-1 if "/card" in one.path else 2])
            if body.startswith(b"age-"):
                size = age_plaintext_bytes(body)
                assert (
                    size in PADDED_KEY_BUNDLE_SIZES_BYTES
                    if kind == "card"
                    else size == padded_length(size)
                )
            else:
                assert one.path.split("/")[-1] not in {"card", "blobs"}
                for name, text in json_strings(json.loads(body)):
                    # Ids have 16 bytes. Tokens, locks, shares and points have 32 bytes.
                    lengths = LENGTHS_BY_MEMBER.get(name, {16, 32})
                    assert text in PUBLIC_RELAY_STRINGS or len(from_base64url(text)) in lengths, (
                        one.path,
                        name,
                    )
    assert kinds == {"blobs", "card", "envelopes", "mailboxes", "shares", "status"}


def json_strings(json_value: Any, member_name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string in a JSON value, with the name of the member that contains it."""
    if isinstance(json_value, str):
        yield member_name, json_value
    for key, value in json_value.items() if isinstance(json_value, dict) else ():
        yield from json_strings(value, key)
    for value in json_value if isinstance(json_value, list) else ():
        yield from json_strings(value, member_name)


def age_plaintext_bytes(blob: bytes) -> int:
    """Return how many bytes an age file contains (https://age-encryption.org/v1)."""
    header = blob.index(b"\n", blob.index(b"\n--- ") + 1) + 1
    sealed = len(blob) - header - AGE_NONCE_BYTES
    return sealed - math.ceil(sealed / (AGE_CHUNK_BYTES + AGE_TAG_BYTES)) * AGE_TAG_BYTES


@pytest.mark.threat("hostile-network")
def test_relay_stores_and_logs_nothing_readable(day: Day) -> None:
    stored, log = names_and_contents(day.relay.folder), day.relay.log.read_bytes()
    assert b"age-encryption.org/v1" in stored  # the last message still waits at the relay
    assert find_private_bytes(day, stored, log) == []
    with closing(sqlite3.connect(day.relay.folder / "mail.db")) as database:
        letters = database.execute("SELECT length(sealed) FROM stored_letter").fetchall()
    assert letters
    assert {size - SEAL_OVERHEAD_BYTES - VERSION_AND_KEY_BYTES for (size,) in letters} <= set(
        PADDED_SIZES_BYTES
    )
    blobs = [
        file.read_bytes() for file in (day.relay.folder / "blobs").rglob("*") if file.is_file()
    ]
    sealed = [one for one in blobs if one.startswith(b"age-encryption.org/v1")]
    assert sealed
    assert all(
        age_plaintext_bytes(one) == padded_length(age_plaintext_bytes(one)) for one in sealed
    )


def test_day_had_receipts_and_a_reaction(day: Day) -> None:
    ben = day.devices[BEN]
    assert ben.vault.keys(RECEIPT)
    assert ben.vault.keys(REACTION)
