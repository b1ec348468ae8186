"""Tests of the folder of a vault without a relay: creation, unlocking, damage and discarding."""

import contextlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrenous.base.errors import BadRecord
from entrenous.base.secret import Secret
from entrenous.crypto.vault_key import (
    NO_RELAY_SHARE,
    Argon2Cost,
    first_format_vault_key,
    stretch_passphrase,
    vault_key,
)
from entrenous.device.lock_errors import VaultExists, VaultNotFound, WeakPassphrase, WrongPassphrase
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.store.vault_folder import (
    FIRST_VAULT_HEAD_SCHEMA,
    VAULT_HEAD_SCHEMA,
    VaultHead,
    create_vault_in_folder,
    discard_vault,
    has_vault,
    write_vault_head,
)
from entrenous.device.vault_tables import pack
from tests.vaults import make_vaults_open_quickly, unlock_vault

PASSPHRASE = Secret(b"four or five unrelated words")
CHEAP_COST = Argon2Cost(memory_kib=19_456, passes=2, lanes=1)  # used in ``shared_vault``
SALT = bytes(16)
DEVICE_SECRET = b"d" * 32


def create_vault(home: Path, passphrase: Secret) -> SqlcipherVault:
    """Create a vault and write its head at once, without waiting for the first change."""
    unlocked = create_vault_in_folder(home, passphrase)
    write_vault_head(home, VaultHead(unlocked.terms))
    return unlocked.vault


@pytest.fixture(scope="module", params=[FIRST_VAULT_HEAD_SCHEMA, VAULT_HEAD_SCHEMA])
def shared_vault(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a vault of the first or current schema, with cheap key derivation."""
    home = tmp_path_factory.mktemp("home")
    head = {
        "schema": request.param,
        "salt": "A" * 22 + "==",
        "memory_kib": CHEAP_COST.memory_kib,
        "passes": CHEAP_COST.passes,
        "lanes": CHEAP_COST.lanes,
    }
    (home / "vault.json").write_text(json.dumps(head))
    (home / "device.key").write_bytes(DEVICE_SECRET)
    stretched = stretch_passphrase(PASSPHRASE, SALT, CHEAP_COST)
    first = request.param == FIRST_VAULT_HEAD_SCHEMA
    key = (
        first_format_vault_key(stretched, DEVICE_SECRET, SALT)
        if first
        else vault_key(stretched, NO_RELAY_SHARE, DEVICE_SECRET, SALT)
    )
    vault = SqlcipherVault(home, key)
    vault.put("example", "key", b"value")
    vault.close()
    return home


@pytest.fixture
def home(shared_vault: Path, tmp_path: Path) -> Path:
    """Return a folder with a fresh copy of the vault."""
    shutil.copytree(shared_vault, tmp_path, dirs_exist_ok=True)
    return tmp_path


def change_head(home: Path, **fields: object) -> None:
    head = json.loads((home / "vault.json").read_text()) | fields
    (home / "vault.json").write_text(json.dumps(head))


@pytest.mark.slow
def test_a_new_vault_is_private_and_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    home = tmp_path / "some" / "where"
    assert not has_vault(home)
    with contextlib.closing(create_vault(home, PASSPHRASE)) as vault:
        vault.put("example", "key", b"value")
    assert has_vault(home)
    with contextlib.closing(unlock_vault(home, PASSPHRASE)) as vault:
        assert vault.get("example", "key") == b"value"
    with pytest.raises(WrongPassphrase):
        unlock_vault(home, Secret(PASSPHRASE.reveal() + b" "))
    assert {place.name: place.stat().st_mode & 0o777 for place in home.iterdir()} == {
        "vault.json": 0o600,
        "device.key": 0o600,
        "vault.db": 0o600,
        "lock": 0o600,
        "files": 0o700,
    }
    head = json.loads((home / "vault.json").read_text())
    assert (head["memory_kib"], head["passes"], head["lanes"]) == (65_536, 3, 4)


@pytest.mark.slow
def test_empty_vault_is_no_device_and_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_vaults_open_quickly(monkeypatch)
    with contextlib.closing(create_vault_in_folder(tmp_path, PASSPHRASE).vault) as vault:
        assert vault.get("example", "key") is None
    assert not has_vault(tmp_path)
    with (
        contextlib.closing(create_vault_in_folder(tmp_path, PASSPHRASE).vault) as vault,
        vault.transaction(),
    ):
        assert has_vault(tmp_path)  # although no change is on disk yet
        vault.put("example", "key", b"value")
    with contextlib.closing(unlock_vault(tmp_path, PASSPHRASE)) as vault:
        assert vault.get("example", "key") == b"value"
    with pytest.raises(VaultExists):
        create_vault_in_folder(tmp_path, PASSPHRASE)


@pytest.mark.slow
def test_two_vaults_with_one_passphrase_have_different_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_vaults_open_quickly(monkeypatch)
    for name in ("one", "two"):
        create_vault(tmp_path / name, PASSPHRASE).close()
    for part in ("device.key", "vault.json"):
        assert (tmp_path / "one" / part).read_bytes() != (tmp_path / "two" / part).read_bytes()
    (tmp_path / "two" / "vault.db").replace(tmp_path / "one" / "vault.db")
    with pytest.raises(WrongPassphrase):
        unlock_vault(tmp_path / "one", PASSPHRASE)


def test_existing_vault_is_left_unchanged(home: Path) -> None:
    before = {place: place.read_bytes() for place in home.iterdir() if place.is_file()}
    with pytest.raises(VaultExists, match=str(home)):
        create_vault(home, PASSPHRASE)
    assert before == {place: place.read_bytes() for place in home.iterdir() if place.is_file()}


@pytest.mark.parametrize("short", [b"", b"seven 7"])
def test_a_short_passphrase_makes_no_vault(tmp_path: Path, short: bytes) -> None:
    with pytest.raises(WeakPassphrase, match="8 characters"):
        create_vault(tmp_path / "home", Secret(short))
    assert not (tmp_path / "home").exists()


def test_passphrase_length_counts_characters_not_bytes(tmp_path: Path) -> None:
    with pytest.raises(WeakPassphrase):
        create_vault(tmp_path / "home", Secret("äöüß".encode()))


def test_unlock_without_a_vault_raises_vault_not_found(tmp_path: Path) -> None:
    with pytest.raises(VaultNotFound):
        unlock_vault(tmp_path, PASSPHRASE)


@pytest.mark.threat("stolen-device")
def test_passphrase_opens_nothing_without_the_devices_secret(home: Path) -> None:
    (home / "device.key").write_bytes(b"e" * 32)
    with pytest.raises(WrongPassphrase):
        unlock_vault(home, PASSPHRASE)


@pytest.mark.parametrize("secret", [b"", b"d" * 31, b"d" * 33, None])
def test_damaged_device_secret_is_reported(home: Path, secret: bytes | None) -> None:
    (home / "device.key").unlink()
    if secret is not None:
        (home / "device.key").write_bytes(secret)
    with pytest.raises(BadRecord):
        unlock_vault(home, PASSPHRASE)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        pack(CHEAP_COST),
        b'{"schema": "entrenous/vault/1"}',
        b"[" * 100_000,
    ],
)
def test_unreadable_head_is_reported(home: Path, head: bytes) -> None:
    (home / "vault.json").write_bytes(head)
    with pytest.raises(BadRecord, match="vault head"):
        unlock_vault(home, PASSPHRASE)


@pytest.mark.parametrize(
    "fields",
    [
        {"schema": "entrenous/vault/3"},
        {"lock": {}},
        {"lock": {"relay_url": "", "mailbox": "", "unlock_token": ""}},
        {"next": {}},
        {"next": {"salt": "", "memory_kib": 1, "passes": 1, "lanes": 1, "lock": None}},
        {"salt": "AAAA"},
        {"salt": "not base64!"},
        {"memory_kib": 0},
        {"memory_kib": 1 << 40},
        {"memory_kib": -1},
        {"memory_kib": "65536"},
        {"passes": 1},
        {"passes": 10_000},
        {"lanes": 0},
        {"further": 1},
    ],
)
def test_head_with_invalid_fields_is_refused(home: Path, fields: dict[str, object]) -> None:
    change_head(home, **fields)
    with pytest.raises(BadRecord, match="vault head"):
        unlock_vault(home, PASSPHRASE)


@pytest.mark.parametrize(
    "fields",
    [{"salt": "B" * 22 + "=="}, {"passes": 3}, {"lanes": 2}, {"memory_kib": 20_000}],
)
def test_another_cost_or_salt_opens_nothing(home: Path, fields: dict[str, object]) -> None:
    change_head(home, **fields)
    with pytest.raises(WrongPassphrase):
        unlock_vault(home, PASSPHRASE)


def test_cost_named_in_the_head_is_used(home: Path) -> None:
    with contextlib.closing(unlock_vault(home, PASSPHRASE)) as vault:
        assert vault.get("example", "key") == b"value"


def test_interrupted_set_up_starts_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head is written last, so a folder without a head contains no finished device."""
    make_vaults_open_quickly(monkeypatch)
    (home / "vault.json").unlink()
    (home / "vault.db-wal").write_bytes(b"left over")
    assert not has_vault(home)
    with contextlib.closing(create_vault(home, PASSPHRASE)) as vault:
        assert list(vault.items("example")) == []
    assert (home / "device.key").read_bytes() != DEVICE_SECRET
    unlock_vault(home, PASSPHRASE).close()


def test_discarded_vault_leaves_no_key_and_no_database(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_vaults_open_quickly(monkeypatch)
    for _ in range(2):
        discard_vault(home)
        assert not has_vault(home)
        assert {place.name for place in home.iterdir()} <= {"lock", "files"}
    create_vault(home, PASSPHRASE).close()


@pytest.mark.slow
def test_exactly_one_of_two_concurrent_set_ups_succeeds(tmp_path: Path) -> None:
    def set_up(passphrase: Secret) -> str:
        try:
            create_vault(tmp_path, passphrase).close()
        except VaultExists:
            return "refused"
        return "made"

    both = [Secret(b"the first passphrase"), Secret(b"the second passphrase")]
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(set_up, both))
    assert sorted(ended) == ["made", "refused"]
    unlock_vault(tmp_path, both[ended.index("made")]).close()
