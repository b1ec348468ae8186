"""After real traffic, the data and logs of servers, the error output of commands, and people's
disks contain no readable content and no usable key. Commands leave no temporary files.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from entrenous.base.environment import Settings
from entrenous.base.identity import Contact
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.device.device import Vault
from entrenous.device.identities import (
    IDENTITY_RECORD,
    OLM_ACCOUNT_RECORD,
    SIGNING_SEED_RECORD,
    Identity,
)
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.vault_tables import (
    CONTACT,
    COPY_DELIVERY,
    INBOX,
    INVITE,
    OWN_RECORDS,
    OWN_XWING_KEY,
    PEER,
    Table,
    unpack,
)
from entrenous.send.formats.identity_formats import read_invite_link
from entrenous.send.letter.letter_nouns import OwnXWingKey, PeerDevice
from entrenous.send.message.states import ReceivedMessage
from entrenous.send.people.people_nouns import IssuedInviteLink
from entrenous.stop.registration import Protection
from tests.media.test_no_metadata_left import MARKER, marker_encodings
from tests.real.evening import ANA, BEN, CAPTION, Evening
from tests.real.processes import Shell, names_and_contents
from tests.vaults import open_device

pytestmark = pytest.mark.real

PART_BYTES = 24  # so long that no other file contains a part of the text by chance
RECORD_TYPES_BY_TABLE: dict[str, type] = {
    CONTACT: Contact,
    INBOX: ReceivedMessage,
    INVITE: IssuedInviteLink,
    OWN_XWING_KEY: OwnXWingKey,
    PEER: PeerDevice,
    COPY_DELIVERY: CopyDelivery,
    "protection": Protection,
}


def secrets_in(value: Any) -> Iterator[bytes]:
    """Yield every secret in an object made of records, tuples and sets."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif is_dataclass(value):
        for field in fields(value):
            yield from secrets_in(getattr(value, field.name))
    elif isinstance(value, tuple | frozenset):
        for part in value:
            yield from secrets_in(part)


def secrets_of(vault: Vault) -> Iterator[bytes]:
    """Yield the keys and tokens in a vault."""
    for table, record_type in RECORD_TYPES_BY_TABLE.items():
        for value in Table(table, record_type).all(vault):
            yield from secrets_in(value)
    for message in VaultLedger(vault).messages():
        yield from secrets_in(message)
    identity = unpack(Identity, vault.get(OWN_RECORDS, IDENTITY_RECORD) or b"")
    assert identity.master is not None
    yield from (identity.master.reveal()[:32], identity.master.reveal()[32:])
    yield from secrets_in(identity)
    for key in (OLM_ACCOUNT_RECORD, SIGNING_SEED_RECORD, "files-key"):
        yield vault.get(OWN_RECORDS, key) or b""


@contextmanager
def open_vault_of(person: Shell) -> Iterator[Vault]:
    passphrase = Secret(person.passphrase.encode())
    with open_device(Settings(person.home, pause_s=0), lambda: passphrase) as device:
        yield device.vault


def secrets_in_vault_of(person: Shell) -> set[bytes]:
    with open_vault_of(person) as vault:
        return set(secrets_of(vault))


@pytest.fixture(scope="module")
def known_keys(evening: Evening) -> set[bytes]:
    """Return the keys and tokens in both vaults, and the token in the invite link."""
    known_keys = secrets_in_vault_of(evening.ana) | secrets_in_vault_of(evening.ben)
    known_keys |= {read_invite_link(evening.invite_link).token.reveal()}
    assert len(known_keys) > 40
    assert all(len(key) >= 16 for key in known_keys)
    return known_keys


def encodings_of(key: bytes) -> list[bytes]:
    """Return a key as bytes, in hexadecimal, and in base64 of both alphabets."""
    plain = base64.b64encode(key).rstrip(b"=")
    return [key, key.hex().encode(), plain, plain.replace(b"+", b"-").replace(b"/", b"_")]


def private_texts(evening: Evening) -> list[bytes]:
    """Return people's names and passphrases, the caption, the names of files and messages, and all
    encodings of the planted metadata.
    """
    texts = [ANA, BEN, CAPTION, "quillfeather-at-the-lighthouse", "Example Camera"]
    texts += [evening.ana.passphrase, evening.ben.passphrase, *evening.message_names]
    return [*(word.encode() for word in texts), *marker_encodings(MARKER)]


def public_identity(person: Shell) -> list[bytes]:
    """Return a person's id and public master keys, which are hidden from the relay."""
    with open_vault_of(person) as vault:
        public = unpack(Identity, vault.get(OWN_RECORDS, IDENTITY_RECORD) or b"").person
    assert public is not None
    return [public.id, public.master.ed25519, public.master.mldsa65[:32]]


def picture_parts(evening: Evening) -> list[bytes]:
    """Return signatures of picture formats and of metadata, and short parts from all over the
    originals and the copies.
    """
    files = [*evening.originals.values(), *evening.copies.values()]
    data = [file.read_bytes() for file in files]
    heads = [b"JFIF\0", b"Exif\0\0", b"\x89PNG\r\n\x1a\n", b"WEBPVP8", b"http://ns.adobe.com"]
    return [
        *heads,
        *(
            one[at : at + PART_BYTES]
            for one in data
            for at in range(600, len(one) - PART_BYTES, 997)
        ),
    ]


def needles_in(needles: list[bytes], *data: bytes) -> list[bytes]:
    return [needle for needle in needles if any(needle in one for one in data)]


def test_relay_stores_no_readable_text_identity_picture_or_key(
    evening: Evening, known_keys: set[bytes]
) -> None:
    stored = names_and_contents(evening.relay.folder)
    assert b"age-encryption.org/v1" in stored  # waiting blobs are searched too
    with open_vault_of(evening.ana) as vault:
        (sealed, *_) = COPY_DELIVERY_TABLE.all(vault)
    assert token_hash(sealed.withdraw_token) in stored  # the database is searched too
    assert needles_in(private_texts(evening), stored) == []
    assert needles_in([*public_identity(evening.ana), *public_identity(evening.ben)], stored) == []
    assert needles_in(picture_parts(evening), stored) == []
    assert needles_in([form for key in known_keys for form in encodings_of(key)], stored) == []


def test_gate_stores_no_readable_text_picture_or_key(
    evening: Evening, known_keys: set[bytes]
) -> None:
    stored = names_and_contents(evening.gate.folder)
    assert b"SQLite format 3" in stored
    assert needles_in(private_texts(evening), stored) == []
    assert needles_in(picture_parts(evening), stored) == []
    assert needles_in([form for key in known_keys for form in encodings_of(key)], stored) == []


def test_server_logs_contain_no_private_text_key_or_traceback(
    evening: Evening, known_keys: set[bytes]
) -> None:
    logs = evening.relay.log.read_bytes() + evening.gate.log.read_bytes()
    needles = [form for key in known_keys for form in encodings_of(key)]
    needles += [*private_texts(evening), b"Bearer"]
    assert needles_in(needles, logs) == []
    assert b"Traceback" not in logs


def test_commands_leave_no_secret_on_the_terminal_and_no_temporary_file(
    evening: Evening, known_keys: set[bytes]
) -> None:
    for person in (evening.ana, evening.ben):
        printed = b"".join(person.errors)
        secret = [person.passphrase.encode(), CAPTION.encode(), *marker_encodings(MARKER)]
        secret += [form for key in known_keys for form in encodings_of(key)]
        assert needles_in(secret, printed) == []
        assert list(person.temporary_folder.iterdir()) == []


def test_stolen_disk_reveals_nothing_without_the_passphrase(
    evening: Evening, known_keys: set[bytes]
) -> None:
    for person in (evening.ana, evening.ben):
        stored = names_and_contents(person.home)
        assert needles_in(private_texts(evening), stored) == []
        assert needles_in(picture_parts(evening), stored) == []
        assert needles_in([form for key in known_keys for form in encodings_of(key)], stored) == []
