"""Tests of vaults that need a relay: unlocking, the head, key changes, and offline windows."""

import base64
import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from entrenous.base.environment import SystemRandomSource
from entrenous.base.errors import BadRecord, RelayUnreachable
from entrenous.base.identifiers import MailboxId
from entrenous.base.limits import OFFLINE_UNLOCK_HOURS_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.oprf import blind, evaluate, finalize, scalar_from_random
from entrenous.crypto.vault_key import oprf_input, stretch_passphrase
from entrenous.device.lock_errors import (
    FewTriesLeft,
    OfflineWindowExpired,
    RevokedDeviceLocked,
    VaultInUse,
    WrongPassphrase,
)
from entrenous.device.relay_lock_client import RelayShareClient
from entrenous.device.store import vault_folder
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.store.vault_folder import (
    KeyDerivationTerms,
    RelayShare,
    UnlockedVault,
    VaultHead,
    change_vault_key,
    create_vault_in_folder,
    delete_offline_window,
    has_offline_window,
    read_offline_window,
    read_vault_head,
    unlock_vault_in_folder,
    write_offline_window,
    write_vault_head,
)
from entrenous.wire.relay_nouns import Locked, RelayLock
from tests.vaults import LOWEST_COST, make_vaults_open_quickly, unlock_vault

PASSPHRASE, OTHER_PASSPHRASE = (
    Secret(b"four or five unrelated words"),
    Secret(b"some other unrelated words"),
)
RELAY_LOCK = RelayLock("https://relay.test", MailboxId(b"M" * 16), Secret(b"u" * 32))
CHEAP_COST = LOWEST_COST
WINDOW_END = datetime(2026, 11, 25, 13, tzinfo=UTC)


@dataclass
class FakeRelay:
    """A relay that holds an OPRF key and counts down the remaining tries."""

    key: Secret = field(default_factory=lambda: scalar_from_random(bytes(range(64))))
    tries: int = 10

    def __call__(self, lock: RelayLock, stretched: Secret) -> RelayShare:
        assert lock == RELAY_LOCK
        if self.tries == 0:
            raise Locked
        self.tries -= 1
        oprf_bytes, scalar = oprf_input(stretched), scalar_from_random(bytes(range(1, 65)))
        answer = evaluate(self.key, blind(oprf_bytes, scalar))
        return RelayShare(finalize(oprf_bytes, scalar, answer), self.tries)


def cheap_terms(lock: RelayLock | None, salt: bytes = b"s" * 16) -> KeyDerivationTerms:
    return KeyDerivationTerms(salt, CHEAP_COST, lock)


@pytest.fixture
def relay() -> FakeRelay:
    return FakeRelay()


@pytest.fixture
def home(tmp_path: Path, relay: FakeRelay, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a vault with a lock at the relay and cheap key derivation; return its folder."""
    make_vaults_open_quickly(monkeypatch)
    unlocked = create_vault_in_folder(tmp_path / "home", PASSPHRASE)
    unlocked.vault.put("example", "key", b"value")
    lock_vault(unlocked, relay, PASSPHRASE).vault.close()
    relay.tries = 10
    return tmp_path / "home"


def lock_vault(
    opened: UnlockedVault, relay: FakeRelay, passphrase: Secret, salt: bytes = b"s" * 16
) -> UnlockedVault:
    terms = cheap_terms(RELAY_LOCK, salt)
    stretched = stretch_passphrase(passphrase, terms.salt, terms.cost)
    return change_vault_key(opened, terms, stretched, relay(RELAY_LOCK, stretched))


def read_value(home: Path, passphrase: Secret, relay: FakeRelay) -> bytes | None:
    with contextlib.closing(unlock_vault_in_folder(home, passphrase, relay).vault) as vault:
        return vault.get("example", "key")


def test_vault_opens_only_with_its_passphrase_and_its_relay(home: Path, relay: FakeRelay) -> None:
    assert read_value(home, PASSPHRASE, relay) == b"value"
    with pytest.raises(WrongPassphrase):
        unlock_vault(home, PASSPHRASE)  # the passphrase is right, but the relay's share is missing
    with pytest.raises(WrongPassphrase):
        read_value(home, PASSPHRASE, FakeRelay(key=scalar_from_random(bytes(range(5, 69)))))
    with pytest.raises(WrongPassphrase):
        read_value(home, OTHER_PASSPHRASE, relay)


@pytest.mark.slow
def test_wrong_passphrases_report_the_tries_left_until_the_vault_is_locked(
    home: Path, relay: FakeRelay
) -> None:
    refusals = list[object]()
    for _ in range(11):
        try:
            read_value(home, OTHER_PASSPHRASE, relay)
        except (WrongPassphrase, Locked) as why:
            refusals.append(type(why) if not why.facts else (type(why), why.facts["tries"]))
    plain = [(WrongPassphrase, left) for left in range(9, 3, -1)]
    few = [(FewTriesLeft, left) for left in (3, 2, 1)]
    assert refusals == [*plain, *few, Locked, Locked]
    with pytest.raises(Locked):
        read_value(home, PASSPHRASE, relay)


def test_refusal_by_the_relay_is_raised_and_releases_the_vault(home: Path) -> None:
    def refuse(_: RelayLock, __: Secret) -> RelayShare:
        raise RevokedDeviceLocked

    for _ in range(2):
        with pytest.raises(RevokedDeviceLocked, match="no longer be unlocked"):
            unlock_vault_in_folder(home, PASSPHRASE, refuse)


def test_the_head_is_written_as_the_specification_says(home: Path) -> None:
    head = json.loads((home / "vault.json").read_text())
    assert list(head) == ["schema", "salt", "memory_kib", "passes", "lanes", "lock", "next"]
    assert head["schema"] == "entrenous/vault/2"
    assert list(head["lock"]) == ["relay_url", "mailbox", "unlock_token"]
    assert head["next"] is None


def test_eight_newest_earlier_unlock_tokens_are_kept() -> None:
    lock = RELAY_LOCK
    for number in range(9):
        lock = lock.with_new_unlock_token(Secret(bytes([number]) * 32))
    assert lock.unlock_token == Secret(bytes([8]) * 32)
    assert lock.earlier == tuple(Secret(bytes([number]) * 32) for number in range(7, -1, -1))


@pytest.mark.parametrize("earlier", [[bytes(31)], [bytes(32)] * 9, [b""]])
def test_head_with_invalid_earlier_tokens_is_refused(home: Path, earlier: list[bytes]) -> None:
    head = json.loads((home / "vault.json").read_text())
    head["lock"]["earlier"] = [base64.b64encode(token).decode() for token in earlier]
    (home / "vault.json").write_text(json.dumps(head))
    with pytest.raises(BadRecord):
        read_vault_head(home)


@pytest.mark.parametrize("first_format", [False, True])
def test_written_head_is_read_back(tmp_path: Path, *, first_format: bool) -> None:
    now = KeyDerivationTerms(
        b"t" * 16, CHEAP_COST, None if first_format else RELAY_LOCK, first_format
    )
    later = RELAY_LOCK.with_new_unlock_token(Secret(b"n" * 32))
    for head in (
        VaultHead(now),
        VaultHead(now, cheap_terms(RELAY_LOCK)),
        VaultHead(now, cheap_terms(later)),
        VaultHead(now, cheap_terms(None)),
    ):
        write_vault_head(tmp_path, head)
        assert read_vault_head(tmp_path) == head


class PowerFailure(Exception):
    """A simulated power failure."""


def fail_at_call(work: Callable[..., None], cut_at: float) -> Callable[..., None]:
    """Wrap ``work`` so that one call raises PowerFailure.

    The calls are numbered from 0. If ``cut_at`` is 1, call 1 fails before ``work`` runs. If
    ``cut_at`` is 1.5, call 1 fails after ``work`` has run.
    """
    calls = iter(range(9))

    def run(*given: object) -> None:
        at = next(calls)
        if at == cut_at:
            raise PowerFailure
        work(*given)
        if at + 0.5 == cut_at:
            raise PowerFailure

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interrupted_call", "cut_at", "valid_passphrase"),
    [
        ("write_vault_head", 0, PASSPHRASE),
        ("write_vault_head", 0.5, PASSPHRASE),
        ("rekey", 0, PASSPHRASE),
        ("rekey", 0.5, OTHER_PASSPHRASE),
        ("write_vault_head", 1, OTHER_PASSPHRASE),
        ("write_vault_head", 1.5, OTHER_PASSPHRASE),
    ],
)
def test_vault_opens_after_key_change_is_interrupted_anywhere(  # noqa: PLR0913, PLR0917
    home: Path,
    relay: FakeRelay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted_call: str,
    cut_at: float,
    valid_passphrase: Secret,
) -> None:
    """The folder is copied while the database is open, as a power failure would leave it."""
    opened, image = unlock_vault_in_folder(home, PASSPHRASE, relay), tmp_path / "image"
    owner = vault_folder if interrupted_call == "write_vault_head" else SqlcipherVault
    monkeypatch.setattr(
        owner, interrupted_call, fail_at_call(getattr(owner, interrupted_call), cut_at)
    )
    with contextlib.closing(opened.vault):
        with pytest.raises(PowerFailure):
            lock_vault(opened, relay, OTHER_PASSPHRASE, b"n" * 16)
        shutil.copytree(home, image)
    monkeypatch.undo()
    relay.tries = 10
    assert read_value(image, valid_passphrase, relay) == b"value"
    with pytest.raises(WrongPassphrase):
        read_value(
            image, PASSPHRASE if valid_passphrase is OTHER_PASSPHRASE else OTHER_PASSPHRASE, relay
        )
    assert read_vault_head(image).next is None


def test_interrupted_first_lock_is_repeated_with_the_same_token(
    tmp_path: Path, relay: FakeRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_vaults_open_quickly(monkeypatch)
    unlocked = create_vault_in_folder(tmp_path, PASSPHRASE)
    begun = KeyDerivationTerms(unlocked.terms.salt, CHEAP_COST, RELAY_LOCK)
    write_vault_head(tmp_path, VaultHead(unlocked.terms, begun))
    unlocked.vault.close()
    opened = unlock_vault_in_folder(tmp_path, PASSPHRASE, relay)
    assert read_vault_head(tmp_path).next == begun
    assert relay.tries == 10
    change_vault_key(
        opened, begun, opened.stretched, relay(RELAY_LOCK, opened.stretched)
    ).vault.close()
    assert read_vault_head(tmp_path).next is None


def test_rekeying_leaves_no_page_under_the_old_key(home: Path, relay: FakeRelay) -> None:
    old = (home / "vault.db").read_bytes()
    with contextlib.closing(unlock_vault_in_folder(home, PASSPHRASE, relay).vault) as vault:
        pages = [old[at : at + 4096] for at in range(4096, len(old), 4096)]
        vault.rekey(Secret(b"k" * 32))
    left = b"".join(place.read_bytes() for place in home.glob("vault.db*"))
    assert not any(page in left for page in pages)


def test_offline_window_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    right, wrong = (
        stretch_passphrase(passphrase, b"s" * 16, CHEAP_COST)
        for passphrase in (PASSPHRASE, OTHER_PASSPHRASE)
    )
    assert read_offline_window(tmp_path, right) is None
    write_offline_window(tmp_path, right, Secret(b"o" * 64), WINDOW_END)
    assert has_offline_window(tmp_path)
    assert (tmp_path / "offline.key").stat().st_mode & 0o777 == 0o600
    assert read_offline_window(tmp_path, right) == (WINDOW_END, Secret(b"o" * 64))
    assert read_offline_window(tmp_path, wrong) is None
    delete_offline_window(tmp_path)
    delete_offline_window(tmp_path)
    assert not has_offline_window(tmp_path)


def test_wrong_passphrase_in_an_offline_window_is_refused_without_retries(tmp_path: Path) -> None:
    """If the passphrase does not open the existing window, the relay is asked without retries."""
    relays_asked = list[str]()

    def make_unreachable_relay(name: str) -> Any:
        def unlock(*_: object) -> NoReturn:
            relays_asked.append(name)
            raise RelayUnreachable(host="relay.test")

        return SimpleNamespace(unlock=unlock)

    clock = SimpleNamespace(now=lambda: WINDOW_END - timedelta(hours=1))
    ask = RelayShareClient(
        tmp_path,
        make_unreachable_relay("patient"),
        clock,
        SystemRandomSource(),
        make_unreachable_relay("at once"),
    )
    right, wrong = (
        stretch_passphrase(passphrase, b"s" * 16, CHEAP_COST)
        for passphrase in (PASSPHRASE, OTHER_PASSPHRASE)
    )
    with pytest.raises(RelayUnreachable):
        ask(RELAY_LOCK, right)
    write_offline_window(tmp_path, right, Secret(b"o" * 64), WINDOW_END)
    assert ask(RELAY_LOCK, right).kept_here
    with pytest.raises(WrongPassphrase):
        ask(RELAY_LOCK, wrong)
    assert relays_asked == ["patient", "at once"]


def test_window_recorded_by_a_clock_that_was_ahead_is_not_used(tmp_path: Path) -> None:
    """A clock that was a year ahead opened a window for the longest time; then it was set back."""
    stretched = stretch_passphrase(PASSPHRASE, b"s" * 16, CHEAP_COST)
    longest = timedelta(hours=OFFLINE_UNLOCK_HOURS_MAX)
    write_offline_window(tmp_path, stretched, Secret(b"o" * 64), WINDOW_END)

    def unlock(*_: object) -> NoReturn:
        raise RelayUnreachable(host="relay.test")

    def ask_at(now: datetime) -> RelayShare:
        courier: Any = SimpleNamespace(unlock=unlock)
        clock = SimpleNamespace(now=lambda: now)
        return RelayShareClient(tmp_path, courier, clock, SystemRandomSource())(
            RELAY_LOCK, stretched
        )

    assert ask_at(WINDOW_END - longest).kept_here
    with pytest.raises(RelayUnreachable):
        ask_at(WINDOW_END - longest - timedelta(seconds=1))
    assert has_offline_window(tmp_path)  # the relay did not answer, and this clock may be wrong
    with pytest.raises(OfflineWindowExpired):
        ask_at(WINDOW_END)


@pytest.mark.parametrize(("interrupted_head", "window_stays"), [(0, True), (1, False)])
def test_window_ends_with_the_key_whose_share_it_holds(
    home: Path,
    relay: FakeRelay,
    monkeypatch: pytest.MonkeyPatch,
    interrupted_head: int,
    *,
    window_stays: bool,
) -> None:
    opened = unlock_vault_in_folder(home, PASSPHRASE, relay)
    write_offline_window(home, opened.stretched, opened.part.output, WINDOW_END)
    monkeypatch.setattr(
        vault_folder, "write_vault_head", fail_at_call(write_vault_head, interrupted_head)
    )
    with contextlib.closing(opened.vault), pytest.raises(PowerFailure):
        lock_vault(opened, relay, OTHER_PASSPHRASE, b"n" * 16)
    assert has_offline_window(home) is window_stays


_KILLED_PROCESS_SCRIPT = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from entrenous.device.store.vault_folder import write_offline_window
from entrenous.base.secret import Secret
Path.replace = lambda *_: os._exit(9)
write_offline_window(Path(sys.argv[1]), Secret(bytes(32)), Secret(bytes(64)), datetime.now(UTC))
"""


def temporary_files(home: Path) -> list[Path]:
    return list(home.glob(".entrenous-*"))


def run_killed_process(home: Path) -> None:
    """Run a process that writes an offline window's temporary file, and dies before renaming it."""
    done = subprocess.run([sys.executable, "-c", _KILLED_PROCESS_SCRIPT, str(home)], check=False)
    assert done.returncode == 9
    assert len(temporary_files(home)) == 1


@pytest.mark.real
def test_unfinished_window_file_is_deleted_with_the_window_and_on_unlocking(
    home: Path, relay: FakeRelay
) -> None:
    run_killed_process(home)
    delete_offline_window(home)
    assert temporary_files(home) == []
    run_killed_process(home)
    read_value(home, PASSPHRASE, relay)
    assert temporary_files(home) == []
    run_killed_process(home)
    with pytest.raises(WrongPassphrase):
        read_value(home, OTHER_PASSPHRASE, relay)
    assert temporary_files(home) == []


@pytest.mark.real
def test_unfinished_window_file_is_kept_while_another_process_may_be_writing(
    home: Path, relay: FakeRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_folder, "LOCK_WAIT_S", 0)
    with contextlib.closing(unlock_vault_in_folder(home, PASSPHRASE, relay).vault):
        run_killed_process(home)
        with pytest.raises(VaultInUse):
            unlock_vault_in_folder(home, PASSPHRASE, relay)
        assert len(temporary_files(home)) == 1


def test_files_with_similar_names_stay(home: Path, relay: FakeRelay) -> None:
    names = (".entrenous-demo", f"x.entrenous-{'0' * 32}", f".entrenous-{'0' * 32}.txt")
    for name in names:
        (home / name).touch()
    read_value(home, PASSPHRASE, relay)
    assert all((home / name).exists() for name in names)


@pytest.mark.parametrize("damage", [b"", b"age-encryption.org/v1\n", b"x" * 300])
def test_damaged_offline_window_opens_nothing(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "offline.key").write_bytes(damage)
    assert read_offline_window(tmp_path, Secret(b"s" * 32)) is None
