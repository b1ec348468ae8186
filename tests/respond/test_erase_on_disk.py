"""Tests of erasing a case: a search of the disk for its data, and the receipt."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import erase_case, erasure_receipt
from entrenous.respond.evidence import read_evidence
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.nouns import AgeAnswer, Case
from entrenous.respond.open_case import add_file, add_sighting, add_statement, open_case
from tests.respond.case_owner import CaseOwner, make_sighting, situation_in

WINDOW_BYTES = 16  # a match of 16 bytes is no coincidence
#: SQLCipher 4: the first page begins with a salt; each page ends with an IV and a MAC.
PAGE_BYTES, RESERVED_BYTES, SALT_BYTES, IV_BYTES = 4096, 80, 16, 16
FRAME_HEADER_BYTES, WAL_HEADER_BYTES = 24, 32
PAGE_URL = "https://pictures.example/canary/3f9c2e71d05b"
DESCRIPTION = "canary: what the post looked like on Monday"
HANDLE = "canary_account_of_somebody"
STATEMENT = "canary: she wrote it on Tuesday, in her own words " * 9


@pytest.fixture
def key() -> Secret:
    return Secret(secrets.token_bytes(32))


@pytest.fixture
def device(tmp_path: Path, key: Secret) -> Iterator[Device]:
    vault = SqlcipherVault(tmp_path / "home", key)
    owner = CaseOwner()
    yield replace(owner.device, vault=vault, ledger=VaultLedger(vault))
    vault.close()


def canaries_of(case: Case, picture: bytes) -> dict[str, bytes]:
    """Return data of the case by name. None of the data may be left after the case is erased."""
    found = {"url": PAGE_URL.encode(), "what": DESCRIPTION.encode(), "handle": HANDLE.encode()}
    found |= {
        "words": STATEMENT.encode(),
        "picture": picture,
        "letter": case.notices[0].letter.encode(),
    }
    for item in case.evidence:
        found[f"salt {item.number}"] = item.salt.reveal()
        found[f"hash {item.number}"] = item.sha256
        found[f"name of sealed file {item.number}"] = item.blob
    return found


def byte_windows(data: bytes) -> set[bytes]:
    return {data[at : at + WINDOW_BYTES] for at in range(max(len(data) - WINDOW_BYTES, 0) + 1)}


def contains_any(contents: bytes, wanted: set[bytes]) -> bool:
    return any(
        contents[at : at + WINDOW_BYTES] in wanted for at in range(len(contents) - WINDOW_BYTES + 1)
    )


def decrypt_database(home: Path, key: Secret) -> bytes:
    """Decrypt and join all pages of the database and its write-ahead log, free pages included."""
    database = (home / "vault.db").read_bytes()
    journal = home / "vault.db-wal"
    log = journal.read_bytes()[WAL_HEADER_BYTES:] if journal.exists() else b""
    frame = FRAME_HEADER_BYTES + PAGE_BYTES
    frames = [log[at : at + frame] for at in range(0, len(log) - frame + 1, frame)]
    pages = [
        (1 + at // PAGE_BYTES, database[at : at + PAGE_BYTES])
        for at in range(0, len(database), PAGE_BYTES)
    ]
    pages += [(int.from_bytes(one[:4], "big"), one[FRAME_HEADER_BYTES:]) for one in frames]
    return b"".join(decrypt_page(number, page, key) for number, page in pages)


def decrypt_page(number: int, page: bytes, key: Secret) -> bytes:
    end = PAGE_BYTES - RESERVED_BYTES
    reader = Cipher(AES(key.reveal()), CBC(page[end : end + IV_BYTES])).decryptor()
    return reader.update(page[SALT_BYTES if number == 1 else 0 : end])


@pytest.mark.slow
def test_nothing_of_an_erased_case_remains_in_any_file_even_with_the_key(
    device: Device, key: Secret, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    picture = secrets.token_bytes(150_000)
    other_case = open_case(None, situation_in("GB"), AgeAnswer.ADULTS, device)
    add_statement(other_case.name, "this one stays", device)
    case = open_case(None, situation_in("US"), AgeAnswer.ADULTS, device)
    add_sighting(case.name, replace(make_sighting(PAGE_URL), handle=HANDLE), device)
    add_file(case.name, picture, DESCRIPTION, device)
    add_statement(case.name, STATEMENT, device)
    draft_and_store_notice(case.name, "us-tida-removal", device, (1,))
    canaries = canaries_of(find_case(case.name, device), picture)
    sealed = {
        one.blob.hex(): home / "files" / one.blob.hex()
        for one in find_case(case.name, device).evidence
    }
    # All age files have the same first bytes; compare only the random bytes after them.
    ciphertext = {
        name: byte_windows(path.read_bytes().partition(b"-> X25519 ")[2])
        for name, path in sealed.items()
    }
    before = decrypt_database(home, key)
    for what in ("url", "what", "handle", "letter", "salt 1", "hash 2", "name of sealed file 1"):
        assert contains_any(before, byte_windows(canaries[what])), f"the test would not see: {what}"

    erase_case(case.name, device)

    after = decrypt_database(home, key)
    for what, canary in canaries.items():
        assert not contains_any(after, byte_windows(canary)), what
    assert case.name.encode() not in after
    for path in (one for one in home.rglob("*") if one.is_file()):
        contents = path.read_bytes()
        for name, wanted in ciphertext.items():
            assert not contains_any(contents, wanted), (path, name)
    assert not [path for path in sealed.values() if path.exists()]
    assert read_evidence(other_case.name, 1, "look", device) == b"this one stays"


def test_receipt_of_an_erasure_has_only_a_time_and_a_random_number(device: Device) -> None:
    one, other = erasure_receipt(device), erasure_receipt(device)
    assert set(one) == {"schema", "erased_at", "number"}
    assert one["number"] != other["number"]
    assert len(str(one["number"])) == 32
