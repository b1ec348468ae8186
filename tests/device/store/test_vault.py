"""Tests of the vault in memory and of the SQLCipher vault in a folder."""

import contextlib
import io
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from entrenous.base.errors import BadRecord, DiskFull, NoSuchBlob
from entrenous.base.identifiers import BlobId
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.device import Vault
from entrenous.device.lock_errors import VaultInUse, WrongPassphrase
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from tests.in_memory.vault import MemoryVault

KEY = Secret(bytes(range(32)))
PLAINTEXT = b"a sentence that only its owner reads"


class PlannedError(Exception):
    """An error that a test raises on purpose."""


@pytest.fixture(params=["memory", "sqlcipher"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vault]:
    if request.param == "memory":
        yield MemoryVault()
        return
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        yield vault


@pytest.fixture
def open_vault(tmp_path: Path) -> Iterator[Callable[[], SqlcipherVault]]:
    """Return a function that opens the vault in ``tmp_path``, after closing it if it is open."""
    with contextlib.ExitStack() as open_ones:

        def close_and_open() -> SqlcipherVault:
            open_ones.close()
            return open_ones.enter_context(contextlib.closing(SqlcipherVault(tmp_path, KEY)))

        yield close_and_open


@pytest.mark.parametrize("sealed", [False, True])
def test_file_deletion_is_rolled_back_with_its_transaction(vault: Vault, *, sealed: bool) -> None:
    blob = vault.store_sealed_file(b"data") if sealed else vault.store_file(b"data")
    with contextlib.suppress(PlannedError), vault.transaction():
        vault.delete_file(blob)
        with pytest.raises(NoSuchBlob):
            vault.read_stored_file(blob)
        raise PlannedError
    assert vault.read_stored_file(blob) == b"data"
    with vault.transaction():
        vault.delete_file(blob)
    with pytest.raises(NoSuchBlob):
        vault.read_stored_file(blob)


def test_crash_before_commit_restores_a_deleted_file(
    tmp_path: Path, open_vault: Callable[[], SqlcipherVault]
) -> None:
    vault, left = open_vault(), tmp_path.with_name("left by a crash")
    blob = vault.store_file(b"data")
    with vault.transaction():
        vault.delete_file(blob)
        shutil.copytree(tmp_path, left)
    with contextlib.closing(SqlcipherVault(left, KEY)) as after:
        assert after.read_stored_file(blob) == b"data"


def test_new_file_with_a_deleted_files_id_stays(vault: Vault) -> None:
    blob = vault.store_file(b"old")
    with vault.transaction():
        vault.delete_file(blob)
        assert vault.store_file_as(blob, io.BytesIO(b"new"))
    assert vault.read_stored_file(blob) == b"new"


def test_record_is_returned_until_replaced_or_dropped(vault: Vault) -> None:
    assert vault.get("example", "key") is None
    vault.put("example", "key", b"one")
    assert vault.get("example", "key") == b"one"
    vault.put("example", "key", b"")
    assert vault.get("example", "key") == b""
    assert vault.get("other", "key") is None
    for _ in range(2):
        vault.drop("example", "key")
        assert vault.get("example", "key") is None


def test_items_are_sorted_and_unaffected_by_later_changes(vault: Vault) -> None:
    keys = ["b", "a", "Z", "10", "9", "é", ""]
    for key in keys:
        vault.put("example", key, key.encode())
    vault.put("other", "c", b"")
    items = vault.items("example")
    vault.drop("example", "a")
    vault.put("example", "zz", b"")
    assert list(items) == [(key, key.encode()) for key in sorted(keys)]


def test_keys_are_sorted_and_filtered_by_prefix(vault: Vault) -> None:
    keys = ["ab 2", "ab 1", "a", "abc", "b", "ab\U0010ffff", "aB 1", ""]
    for key in keys:
        vault.put("example", key, b"")
    vault.put("other", "ab 3", b"")
    assert vault.keys("example") == tuple(sorted(keys))
    assert vault.keys("example", "ab ") == ("ab 1", "ab 2")
    assert vault.keys("example", "x") == ()


def test_transaction_is_all_or_nothing(vault: Vault) -> None:
    def fail() -> None:
        with vault.transaction():
            vault.put("example", "kept", b"after")
            vault.put("example", "new", b"")
            vault.drop("example", "kept")
            assert vault.get("example", "kept") is None
            raise PlannedError

    vault.put("example", "kept", b"before")
    with pytest.raises(PlannedError):
        fail()
    assert list(vault.items("example")) == [("kept", b"before")]
    with vault.transaction():
        vault.put("example", "new", b"")
        vault.drop("example", "kept")
    assert list(vault.items("example")) == [("new", b"")]


def test_nested_transaction_joins_the_outer_one(vault: Vault) -> None:
    def fail_after_inner() -> None:
        with vault.transaction():
            with vault.transaction():
                vault.put("example", "inner", b"")
            assert vault.get("example", "inner") == b""
            raise PlannedError

    def fail_in_inner() -> None:
        with vault.transaction():
            vault.put("example", "outer", b"")
            with vault.transaction():
                vault.put("example", "inner", b"")
                raise PlannedError

    for fail in (fail_after_inner, fail_in_inner):
        with pytest.raises(PlannedError):
            fail()
        assert list(vault.items("example")) == []


def test_outer_transaction_may_catch_a_nested_failure(vault: Vault) -> None:
    with vault.transaction():
        vault.put("example", "outer", b"")
        with contextlib.suppress(PlannedError), vault.transaction():
            vault.put("example", "inner", b"")
            raise PlannedError
    assert [key for key, _ in vault.items("example")] == ["inner", "outer"]


def test_change_after_a_failed_transaction_is_separate(vault: Vault) -> None:
    for _ in range(3):
        with contextlib.suppress(PlannedError), vault.transaction(), vault.transaction():
            raise PlannedError
    vault.put("example", "alone", b"")
    with pytest.raises(PlannedError), vault.transaction():
        raise PlannedError
    assert vault.get("example", "alone") == b""


@pytest.mark.parametrize("size", [0, 1, 65_536, 200_001])
def test_stored_file_is_kept_until_it_is_deleted(vault: Vault, size: int) -> None:
    data = bytes(size)
    first, second = vault.store_file(data), vault.store_file(data)
    assert first != second
    assert vault.read_stored_file(first) == data
    for _ in range(2):
        vault.delete_file(first)
        with pytest.raises(NoSuchBlob):
            vault.read_stored_file(first)
    assert vault.read_stored_file(second) == data


def store_with_foreign_id(vault: Vault, data: bytes) -> BlobId:
    """Store a stream under a random id, as if another vault had chosen it, and return the id."""
    blob = BlobId(secrets.token_bytes(16))
    assert vault.store_file_as(blob, io.BytesIO(data))
    return blob


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_001])
def test_stored_file_is_streamed_back_until_it_is_deleted(vault: Vault, size: int) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    for blob in (
        vault.store_file(data),
        store_with_foreign_id(vault, data),
        vault.store_sealed_file(data),
        vault.store_sealed_file(io.BytesIO(data)),
    ):
        out = io.BytesIO()
        vault.copy_file_to(blob, out)
        assert out.getvalue() == vault.read_stored_file(blob) == data
        vault.delete_file(blob)
        with pytest.raises(NoSuchBlob):
            vault.copy_file_to(blob, out)
        with pytest.raises(NoSuchBlob):
            vault.read_stored_file(blob)


def test_store_file_as_keeps_the_id_and_overwrites_nothing(vault: Vault) -> None:
    blob = BlobId(bytes(range(16)))
    assert vault.store_file_as(blob, io.BytesIO(PLAINTEXT))
    assert vault.read_stored_file(blob) == PLAINTEXT
    sealed = vault.store_sealed_file(b"ciphertext")
    for taken, content in ((blob, PLAINTEXT), (sealed, b"ciphertext")):
        more = io.BytesIO(b"another")
        assert not vault.store_file_as(taken, more)
        assert more.tell() == 0
        assert vault.read_stored_file(taken) == content
    vault.delete_file(blob)
    assert vault.store_file_as(blob, io.BytesIO(b"another"))
    assert vault.read_stored_file(blob) == b"another"


def test_store_file_as_encrypts_unless_the_file_is_sealed(
    open_vault: Callable[[], SqlcipherVault], tmp_path: Path
) -> None:
    vault, blob = open_vault(), BlobId(bytes(16))
    with contextlib.suppress(PlannedError), vault.transaction():
        vault.store_file_as(blob, io.BytesIO(PLAINTEXT))
        raise PlannedError
    vault = open_vault()  # opening deletes files that have no row
    assert list((tmp_path / "files").iterdir()) == []
    vault.store_file_as(blob, io.BytesIO(PLAINTEXT))
    assert PLAINTEXT not in read_all_bytes(tmp_path / "files")
    other = BlobId(bytes(range(16)))
    assert vault.store_file_as(other, io.BytesIO(b"ciphertext"), sealed=True)
    vault = open_vault()
    assert (vault.read_stored_file(blob), vault.read_stored_file(other)) == (
        PLAINTEXT,
        b"ciphertext",
    )
    with vault.open_sealed_file(other) as file:
        assert file.read() == b"ciphertext"


def test_new_vault_deletes_no_existing_files(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    left = tmp_path / "files" / bytes(16).hex()
    left.write_bytes(PLAINTEXT)
    SqlcipherVault(tmp_path, KEY).close()
    assert left.read_bytes() == PLAINTEXT


def test_sealed_files_are_stored_unchanged_and_others_are_encrypted(
    open_vault: Callable[[], SqlcipherVault], tmp_path: Path
) -> None:
    vault = open_vault()
    already_sealed, encrypted = (
        vault.store_sealed_file(b"ciphertext"),
        store_with_foreign_id(vault, PLAINTEXT),
    )
    assert b"ciphertext" in read_all_bytes(tmp_path / "files")
    assert PLAINTEXT not in read_all_bytes(tmp_path / "files")
    vault = open_vault()
    assert (vault.read_stored_file(already_sealed), vault.read_stored_file(encrypted)) == (
        b"ciphertext",
        PLAINTEXT,
    )


def test_planted_file_is_not_taken_for_ciphertext(tmp_path: Path) -> None:
    """A planted file with the name of a sealed file does not replace an encrypted one."""
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        blob = vault.store_file(PLAINTEXT)
        (tmp_path / "files" / f"{blob.hex()}.age").write_bytes(b"another")
        assert vault.read_stored_file(blob) == PLAINTEXT
        (tmp_path / "files" / blob.hex()).unlink()
        with pytest.raises(NoSuchBlob):
            vault.read_stored_file(blob)


def test_vault_content_survives_closing_and_opening(
    open_vault: Callable[[], SqlcipherVault],
) -> None:
    vault = open_vault()
    vault.put("example", "alone", b"1")
    with vault.transaction():
        vault.put("example", "together", b"2")
    blob = vault.store_file(PLAINTEXT)
    vault = open_vault()
    assert list(vault.items("example")) == [("alone", b"1"), ("together", b"2")]
    assert vault.read_stored_file(blob) == PLAINTEXT


def test_vault_content_survives_without_closing(tmp_path: Path) -> None:
    """The folder is copied while the vault is open, as a crash would leave it."""
    with contextlib.closing(SqlcipherVault(tmp_path / "one", KEY)) as vault:
        vault.put("example", "key", b"value")
        blob = vault.store_file(PLAINTEXT)
        with vault.transaction():
            vault.put("example", "half", b"")
            shutil.copytree(tmp_path / "one", tmp_path / "two")
    with contextlib.closing(SqlcipherVault(tmp_path / "two", KEY)) as vault:
        assert list(vault.items("example")) == [("key", b"value")]
        assert vault.read_stored_file(blob) == PLAINTEXT


def test_another_key_opens_nothing_and_changes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        vault.put("example", "key", b"value")
    before = (tmp_path / "vault.db").read_bytes()
    for other in (bytes(32), KEY.reveal()[:-1] + b"\xff"):
        with pytest.raises(WrongPassphrase):
            SqlcipherVault(tmp_path, Secret(other))
    assert (tmp_path / "vault.db").read_bytes() == before
    assert capfd.readouterr() == ("", "")
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        assert vault.get("example", "key") == b"value"


def test_vault_can_be_open_only_once_at_a_time(tmp_path: Path) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)), pytest.raises(VaultInUse):
        SqlcipherVault(tmp_path, KEY, wait_s=0.1)
    with pytest.raises(WrongPassphrase):
        SqlcipherVault(tmp_path, Secret(bytes(32)))
    SqlcipherVault(tmp_path, KEY, wait_s=0.1).close()  # failed attempts do not keep the lock


def test_folder_is_accessible_only_to_its_owner(tmp_path: Path) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path / "new" / "home", KEY)) as vault:
        vault.put("example", "key", b"value")
        vault.store_file(PLAINTEXT)
        home = tmp_path / "new" / "home"
        modes = {place.name: place.stat().st_mode & 0o777 for place in (home, *home.rglob("*"))}
    folders = {"home", "files"}
    assert {"vault.db", "vault.db-wal", "lock", *folders} < set(modes)
    assert {name: mode for name, mode in modes.items() if mode != 0o600} == dict.fromkeys(
        folders, 0o700
    )


def test_folder_contains_no_plaintext(tmp_path: Path) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        for number in range(50):
            vault.put("example", f"planted key {number}", PLAINTEXT * (number + 1))
        vault.store_file(PLAINTEXT * 3000)
        while_open = read_all_bytes(tmp_path)
        vault.drop("example", "planted key 7")
    for seen in (while_open, read_all_bytes(tmp_path)):
        for planted in (PLAINTEXT, b"planted key", b"example", KEY.reveal(), KEY.reveal().hex()):
            needle = planted if isinstance(planted, bytes) else planted.encode()
            assert needle not in seen
            assert needle.decode("latin-1").encode("utf-16-le") not in seen


def read_all_bytes(folder: Path) -> bytes:
    files = [place for place in sorted(folder.rglob("*")) if place.is_file()]
    return b"\0".join(place.name.encode() + place.read_bytes() for place in files)


def test_encrypted_file_moved_to_another_id_does_not_decrypt(tmp_path: Path) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        one, two = vault.store_file(b"one"), vault.store_file(b"two")
        (tmp_path / "files" / one.hex()).replace(tmp_path / "files" / two.hex())
        with pytest.raises(DecryptionFailed):
            vault.read_stored_file(two)
        with pytest.raises(NoSuchBlob):
            vault.read_stored_file(one)


def test_changed_or_truncated_file_does_not_decrypt(tmp_path: Path) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        blob = vault.store_file(PLAINTEXT * 3000)
        place = tmp_path / "files" / blob.hex()
        sealed = place.read_bytes()
        for changed in (sealed[:-1], sealed[:70_000], sealed[:-1] + b"\0", b"", sealed + b"\0"):
            place.write_bytes(changed)
            with pytest.raises(DecryptionFailed):
                vault.read_stored_file(blob)
            with pytest.raises(DecryptionFailed):
                vault.copy_file_to(blob, io.BytesIO())


def test_file_of_another_vault_does_not_decrypt(tmp_path: Path) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path / "one", KEY)) as vault:
        blob = vault.store_file(PLAINTEXT)
    with contextlib.closing(SqlcipherVault(tmp_path / "two", KEY)) as vault:
        shutil.copy(tmp_path / "one/files" / blob.hex(), tmp_path / "two/files" / blob.hex())
        with pytest.raises(DecryptionFailed):
            vault.read_stored_file(blob)


def test_damaged_page_is_reported_and_not_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        for number in range(200):
            vault.put("example", f"{number:03d}", bytes(500))
    data = bytearray((tmp_path / "vault.db").read_bytes())
    data[-3000] ^= 1
    (tmp_path / "vault.db").write_bytes(data)
    with pytest.raises(BadRecord, match="page of the vault"):
        SqlcipherVault(tmp_path, KEY)
    assert capfd.readouterr() == ("", "")


def test_full_disk_leaves_no_partial_change(open_vault: Callable[[], SqlcipherVault]) -> None:
    vault = open_vault()
    vault.put("example", "before", b"")
    pages = vault._database.execute("PRAGMA page_count").fetchone()[0]
    vault._database.execute(f"PRAGMA max_page_count = {pages + 4}")
    large = {"small": b"", "large": bytes(1_000_000)}
    with pytest.raises(DiskFull), vault.transaction():
        put_all(vault, large)
    assert list(vault.items("example")) == [("before", b"")]
    with vault.transaction():
        vault.put("example", "after", b"")
    vault = open_vault()
    assert [key for key, _ in vault.items("example")] == ["after", "before"]


def put_all(vault: Vault, records: dict[str, bytes]) -> None:
    for key, record in records.items():
        vault.put("example", key, record)


KEYS = st.sampled_from(["a", "b", "ä"])
TABLES = st.sampled_from(["one", "two"])
CHANGES = st.lists(st.tuples(TABLES, KEYS, st.none() | st.binary(max_size=40)), max_size=4)


class VaultComparison(RuleBasedStateMachine):
    """A vault on disk and a vault in memory have equal records and files after the same changes."""

    blobs = Bundle("blobs")

    @initialize()
    def create_vaults(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.disk = SqlcipherVault(self.folder, KEY)
        self.memory = MemoryVault()

    def teardown(self) -> None:
        self.disk.close()
        shutil.rmtree(self.folder)

    @rule(changes=CHANGES)
    def change(self, changes: list[tuple[str, str, bytes | None]]) -> None:
        for vault in (self.disk, self.memory):
            apply_changes(vault, changes)

    @rule(outer=CHANGES, inner=CHANGES, fail=st.booleans(), caught=st.booleans())
    def change_in_nested_transactions(
        self,
        outer: list[tuple[str, str, bytes | None]],
        inner: list[tuple[str, str, bytes | None]],
        *,
        fail: bool,
        caught: bool,
    ) -> None:
        for vault in (self.disk, self.memory):
            with contextlib.suppress(PlannedError), vault.transaction():
                apply_changes(vault, outer)
                with contextlib.suppress(PlannedError if caught else ()), vault.transaction():
                    apply_changes(vault, inner)
                    if fail:
                        raise PlannedError

    @rule(target=blobs, data=st.binary(max_size=40))
    def store_file_in_both(self, data: bytes) -> tuple[BlobId, BlobId]:
        return self.disk.store_file(data), self.memory.store_file(data)

    @rule(blob_ids=blobs)
    def delete_file_in_both(self, blob_ids: tuple[BlobId, BlobId]) -> None:
        self.disk.delete_file(blob_ids[0])
        self.memory.delete_file(blob_ids[1])

    @rule(blob_ids=blobs)
    def compare_files(self, blob_ids: tuple[BlobId, BlobId]) -> None:
        on_disk = read_file_or_none(self.disk, blob_ids[0])
        assert on_disk == read_file_or_none(self.memory, blob_ids[1])

    @rule()
    def reopen(self) -> None:
        self.disk.close()
        self.disk = SqlcipherVault(self.folder, KEY)

    @invariant()
    def records_are_equal(self) -> None:
        for table in ("one", "two"):
            assert list(self.disk.items(table)) == list(self.memory.items(table))
            for key in ("a", "b", "ä"):
                assert self.disk.get(table, key) == self.memory.get(table, key)


def apply_changes(vault: Vault, changes: list[tuple[str, str, bytes | None]]) -> None:
    for table, key, record in changes:
        if record is None:
            vault.drop(table, key)
        else:
            vault.put(table, key, record)


def read_file_or_none(vault: Vault, blob: BlobId) -> bytes | None:
    try:
        return vault.read_stored_file(blob)
    except NoSuchBlob:
        return None


def test_vault_on_disk_behaves_like_vault_in_memory() -> None:
    few = settings(
        max_examples=12,
        stateful_step_count=20,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(VaultComparison, settings=few)


def test_file_without_a_committed_record_is_deleted_on_opening(tmp_path: Path) -> None:
    key = Secret(bytes(32))
    vault = SqlcipherVault(tmp_path, key)
    stays = vault.store_file(b"its record was committed")
    with contextlib.suppress(RuntimeError), vault.transaction():
        lost = vault.store_file(b"its record was not")
        raise RuntimeError("the process died here")
    vault.close()
    assert (tmp_path / "files" / lost.hex()).exists()
    with contextlib.closing(SqlcipherVault(tmp_path, key)) as reopened:
        assert reopened.read_stored_file(stays) == b"its record was committed"
    assert [place.name for place in (tmp_path / "files").iterdir()] == [stays.hex()]


def test_appended_data_goes_to_the_end_of_the_file(vault: Vault) -> None:
    part = vault.store_sealed_file(b"")
    assert vault.sealed_file_size(part) == 0
    for piece in (b"one", b" and two"):
        with vault.append_to_sealed_file(part) as writer:
            writer.write(piece)
    with contextlib.suppress(PlannedError), vault.append_to_sealed_file(part) as writer:
        writer.write(b", three")
        raise PlannedError
    assert vault.sealed_file_size(part) == len(b"one and two, three")
    with vault.open_sealed_file(part) as reader:
        reader.seek(4)
        assert reader.read() == b"and two, three"
    assert vault.read_stored_file(part) == b"one and two, three"
    vault.delete_file(part)
    for gone in (vault.open_sealed_file, vault.append_to_sealed_file):
        with pytest.raises(NoSuchBlob), gone(part):
            pass
    with pytest.raises(NoSuchBlob):
        vault.sealed_file_size(part)


def test_appended_data_survives_reopening(
    open_vault: Callable[[], SqlcipherVault],
) -> None:
    vault = open_vault()
    part = vault.store_sealed_file(b"begun")
    with vault.append_to_sealed_file(part) as writer:
        writer.write(b", and more")
    assert open_vault().read_stored_file(part) == b"begun, and more"
