"""After real traffic, what a server stores and logs has no readable content and no usable key."""

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
from tests.media.test_no_metadata_left import MARKER, spellings
from tests.real.evening import ANA, BEN, CAPTION, Evening
from tests.real.stage import Shell, all_bytes
from tests.vaults import open_device

pytestmark = pytest.mark.real

WINDOW = 24  # bytes of a picture, which cannot be elsewhere by chance
DRAWERS: dict[str, type] = {
    CONTACT: Contact,
    INBOX: ReceivedMessage,
    INVITE: IssuedInviteLink,
    OWN_XWING_KEY: OwnXWingKey,
    PEER: PeerDevice,
    COPY_DELIVERY: CopyDelivery,
    "protection": Protection,
}


def secrets_in(noun: Any) -> Iterator[bytes]:
    """Yield every secret in an object, however deeply nested."""
    if isinstance(noun, Secret):
        yield noun.reveal()
    elif is_dataclass(noun):
        for field in fields(noun):
            yield from secrets_in(getattr(noun, field.name))
    elif isinstance(noun, tuple | frozenset):
        for part in noun:
            yield from secrets_in(part)


def secrets_of(vault: Vault) -> Iterator[bytes]:
    """Yield every key and token in a vault."""
    for drawer, kind in DRAWERS.items():
        for noun in Table(drawer, kind).all(vault):
            yield from secrets_in(noun)
    for message in VaultLedger(vault).messages():
        yield from secrets_in(message)
    identity = unpack(Identity, vault.get(OWN_RECORDS, IDENTITY_RECORD) or b"")
    assert identity.master is not None
    yield from (identity.master.reveal()[:32], identity.master.reveal()[32:])
    yield from secrets_in(identity)
    for key in (OLM_ACCOUNT_RECORD, SIGNING_SEED_RECORD, "files-key"):
        yield vault.get(OWN_RECORDS, key) or b""


@contextmanager
def vault_of(who: Shell) -> Iterator[Vault]:
    words = Secret(who.passphrase.encode())
    with open_device(Settings(who.home, pause_s=0), lambda: words) as device:
        yield device.vault


def unlocked(who: Shell) -> set[bytes]:
    with vault_of(who) as vault:
        return set(secrets_of(vault))


@pytest.fixture(scope="module")
def keys(told: Evening) -> set[bytes]:
    """Return all keys and tokens that Ana and Ben have."""
    found = unlocked(told.ana) | unlocked(told.ben) | {read_invite_link(told.link).token.reveal()}
    assert len(found) > 40
    assert all(len(key) >= 16 for key in found)
    return found


def written(key: bytes) -> list[bytes]:
    """Return a key as bytes, in hexadecimal, and in base64 of both alphabets."""
    plain = base64.b64encode(key).rstrip(b"=")
    return [key, key.hex().encode(), plain, plain.replace(b"+", b"-").replace(b"/", b"_")]


def words(told: Evening) -> list[bytes]:
    """Return what people wrote, typed or named, and every spelling of the planted metadata."""
    said = [ANA, BEN, CAPTION, "quillfeather-at-the-lighthouse", "Example Camera"]
    said += [told.ana.passphrase, told.ben.passphrase, *told.messages]
    return [*(word.encode() for word in said), *spellings(MARKER)]


def who_they_are(who: Shell) -> list[bytes]:
    """Return a person's id and public master keys: not secret, but hidden from the relay."""
    with vault_of(who) as vault:
        person = unpack(Identity, vault.get(OWN_RECORDS, IDENTITY_RECORD) or b"").person
    assert person is not None
    return [person.id, person.master.ed25519, person.master.mldsa65[:32]]


def pieces(told: Evening) -> list[bytes]:
    """Return file signatures, and short parts from all over the originals and the copies."""
    files = [*told.originals.values(), *told.copies.values()]
    data = [file.read_bytes() for file in files]
    heads = [b"JFIF\0", b"Exif\0\0", b"\x89PNG\r\n\x1a\n", b"WEBPVP8", b"http://ns.adobe.com"]
    return [
        *heads,
        *(one[at : at + WINDOW] for one in data for at in range(600, len(one) - WINDOW, 997)),
    ]


def found(needles: list[bytes], *hay: bytes) -> list[bytes]:
    return [needle for needle in needles if any(needle in one for one in hay)]


def test_the_relay_holds_nothing_that_can_be_read(told: Evening, keys: set[bytes]) -> None:
    held = all_bytes(told.relay.folder)
    assert b"age-encryption.org/v1" in held  # the file that still waits is really searched
    with vault_of(told.ana) as vault:
        (sealed, *_) = COPY_DELIVERY_TABLE.all(vault)
    assert token_hash(sealed.withdraw_token) in held  # and so is its database
    assert found(words(told), held) == []
    assert found([*who_they_are(told.ana), *who_they_are(told.ben)], held) == []
    assert found(pieces(told), held) == []
    assert found([form for key in keys for form in written(key)], held) == []


def test_the_gate_holds_nothing_but_fingerprints(told: Evening, keys: set[bytes]) -> None:
    held = all_bytes(told.gate.folder)
    assert b"SQLite format 3" in held
    assert found(words(told), held) == []
    assert found(pieces(told), held) == []
    assert found([form for key in keys for form in written(key)], held) == []


def test_what_the_servers_write_down_says_nothing(told: Evening, keys: set[bytes]) -> None:
    logs = told.relay.log.read_bytes() + told.gate.log.read_bytes()
    needles = [*words(told), *(form for key in keys for form in written(key)), b"Bearer"]
    assert found(needles, logs) == []
    assert b"Traceback" not in logs


def test_commands_leave_no_secret_on_the_terminal_and_no_temporary_file(
    told: Evening, keys: set[bytes]
) -> None:
    for who in (told.ana, told.ben):
        said = b"".join(who.errors)
        secret = [who.passphrase.encode(), CAPTION.encode(), *spellings(MARKER)]
        assert found([*secret, *(form for key in keys for form in written(key))], said) == []
        assert list(who.temporary.iterdir()) == []


def test_a_stolen_disk_says_nothing_without_the_passphrase(told: Evening, keys: set[bytes]) -> None:
    for who in (told.ana, told.ben):
        held = all_bytes(who.home)
        assert found(words(told), held) == []
        assert found(pieces(told), held) == []
        assert found([form for key in keys for form in written(key)], held) == []
