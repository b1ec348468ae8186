"""Tests of a device's lock, of new passphrases, of offline windows, and of the recovery sheet.

The tests use real vaults and a real relay over HTTP. argon2id has the lowest allowed cost, except
where the time is measured.
"""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from entrenous.base.environment import Settings, SystemClock, SystemRandomSource
from entrenous.base.errors import NotARelay, RelayUnreachable
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.crypto.hashing import token_hash
from entrenous.crypto.oprf import blind, evaluate, finalize, scalar_from_random
from entrenous.crypto.vault_key import Argon2Cost, oprf_input, stretch_passphrase
from entrenous.device import open_device as wiring
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.client.relay_request import RelayCall
from entrenous.device.device import Device
from entrenous.device.identities import MailboxAddress, mailbox_address
from entrenous.device.lock_errors import (
    FewTriesLeft,
    MailboxUnknown,
    NotLockedAtRelay,
    OfflineWindowExpired,
    OutdatedCopy,
    RelayLockedOut,
    RevokedDeviceLocked,
    UnlockNotConfirmed,
    WeakPassphrase,
    WrongPassphrase,
)
from entrenous.device.open_device import open_unlocked
from entrenous.device.recovery_sheet import (
    MasterKeyNotHere,
    NothingToRecover,
    SheetOfAnotherPerson,
    allow_more_tries,
)
from entrenous.device.relay_lock_client import (
    RelayShareClient,
    allow_offline_unlock,
    change_passphrase,
    forbid_offline_unlock,
)
from entrenous.device.store import vault_folder
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.store.vault_folder import (
    AskRelayForShare,
    RelayShare,
    UnlockedVault,
    has_offline_window,
    has_vault,
    read_vault_head,
    unlock_vault_in_folder,
    write_vault_head,
)
from entrenous.send.devices.own_devices import delete_master_key, make_recovery_sheet
from entrenous.send.fetch import fetch_messages
from entrenous.send.formats.identity_formats import read_sheet, write_sheet
from entrenous.send.set_up import set_up
from entrenous.wire.relay_nouns import Locked, RelayLock, RolledBack
from tests.carry.relays import disk_relay, serve_app
from tests.deterministic import SettableClock
from tests.real.processes import names_and_contents
from tests.vaults import create_device, make_vaults_open_quickly, open_device

pytestmark = pytest.mark.real

PASSPHRASE = Secret(b"four or five unrelated words")
OTHER_PASSPHRASE = Secret(b"some other unrelated words")


@dataclass
class DeviceAtRelay:
    """A relay, and Ana's device, whose mailbox is at this relay."""

    folder: Path
    url: str
    courier: HttpCourier

    @property
    def home(self) -> Path:
        return self.folder / "ana"

    @property
    def settings(self) -> Settings:
        return Settings(self.home, 0.0, pause_s=0)

    @contextmanager
    def open_device(
        self, passphrase: Secret = PASSPHRASE, home: Path | None = None
    ) -> Iterator[Device]:
        with open_device(Settings(home or self.home, 0.0, pause_s=0), lambda: passphrase) as device:
            yield device

    @contextmanager
    def unlock_device(
        self, passphrase: Secret = PASSPHRASE
    ) -> Iterator[tuple[Device, UnlockedVault]]:
        with open_unlocked(self.settings, lambda: passphrase) as both:
            yield both

    def find_address(self) -> MailboxAddress:
        with self.open_device() as device:
            home = mailbox_address(device.vault)
        assert home is not None
        return home

    def copy_folder(self, copy_name: str) -> Path:
        """Copy Ana's whole folder, and return the path of the copy."""
        return Path(shutil.copytree(self.home, self.folder / copy_name))


@contextmanager
def set_up_ana(folder: Path) -> Iterator[DeviceAtRelay]:
    with (
        disk_relay(folder / "relay", SettableClock()) as relay,
        serve_app(relay_app(relay)) as url,
        new_relay_client() as client,
    ):
        ana = DeviceAtRelay(folder, url, HttpCourier(client))
        with create_device(ana.settings, lambda: PASSPHRASE) as device:
            set_up("Ana", url, device)
        yield ana


@pytest.fixture
def cheap_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Create new vaults with the lowest allowed cost of argon2id."""
    make_vaults_open_quickly(monkeypatch)


@pytest.fixture
def ana(tmp_path: Path, cheap_argon2: None) -> Iterator[DeviceAtRelay]:  # noqa: ARG001
    with set_up_ana(tmp_path) as ana:
        yield ana


@pytest.fixture
def ana_offline(tmp_path: Path, cheap_argon2: None) -> DeviceAtRelay:  # noqa: ARG001
    """Let Ana allow offline unlocking for one hour, and stop the relay for good."""
    with set_up_ana(tmp_path) as ana, ana.unlock_device() as (device, unlocked):
        allow_offline_unlock(unlocked, 1, device.clock)
    return ana


def test_unlocking_takes_less_than_two_seconds_of_processor_time(tmp_path: Path) -> None:
    taken = []
    with set_up_ana(tmp_path) as ana:
        for _ in range(3):
            started = time.process_time()
            with ana.open_device():
                taken.append(time.process_time() - started)
    assert read_vault_head(ana.home).now.cost == Argon2Cost(65_536, 3, 4)
    print(f"unlocking: {min(taken):.2f} s, with argon2id at 64 MiB")  # noqa: T201
    assert min(taken) < 2


def test_set_up_at_a_relay_creates_a_lock(ana: DeviceAtRelay) -> None:
    lock = read_vault_head(ana.home).now.lock
    assert lock is not None
    assert (lock.relay_url, lock.mailbox) == (ana.url, ana.find_address().mailbox)
    with pytest.raises(WrongPassphrase):
        unlock_vault_in_folder(ana.home, PASSPHRASE, lambda _, __: RelayShare())


@pytest.mark.threat("stolen-device")
def test_ten_wrong_guesses_lock_the_device_and_the_sheet_unlocks_it(ana: DeviceAtRelay) -> None:
    with ana.unlock_device() as (device, unlocked):
        sheet = read_sheet(write_sheet(make_recovery_sheet(unlocked.part.output, None, device)))
    errors = []
    for guess in range(11):
        try:
            with ana.open_device(Secret(b"guess number %d" % guess)):
                pass
        except (WrongPassphrase, Locked) as error:
            errors.append(type(error))
    assert errors == [*[WrongPassphrase] * 6, *[FewTriesLeft] * 3, *[RelayLockedOut] * 2]
    with pytest.raises(Locked), ana.open_device():
        pass
    allow_more_tries(ana.settings, sheet)
    with ana.open_device() as device:
        fetch_messages(device)


def guess_wrongly(ana: DeviceAtRelay, guess_count: int, home: Path | None = None) -> None:
    for guess in range(guess_count):
        with (
            pytest.raises(WrongPassphrase),
            ana.open_device(Secret(b"guess number %d" % guess), home),
        ):
            pass


def failed_try_count(ana: DeviceAtRelay) -> int:
    with ana.unlock_device() as (_, unlocked):
        return unlocked.missed


@pytest.mark.threat("stolen-device")
def test_guesses_at_a_copy_are_reported_when_the_original_unlocks(ana: DeviceAtRelay) -> None:
    """The owner's unlock needs one of the ten tries, so the thief makes at most nine guesses.

    The unlock then restores all ten tries.
    """
    folder_copy = ana.copy_folder("thief")
    assert failed_try_count(ana) == 0
    for guess_count in (9, 1):
        guess_wrongly(ana, guess_count, folder_copy)
        assert failed_try_count(ana) == guess_count
        assert failed_try_count(ana) == 0


def test_requests_of_the_device_are_not_counted_as_guesses(
    ana: DeviceAtRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ana.unlock_device() as (device, unlocked):
        changed = change_passphrase(unlocked, OTHER_PASSPHRASE, device)
        changed = change_passphrase(changed, PASSPHRASE, device)
    assert changed.missed == failed_try_count(ana) == 0
    with monkeypatch.context() as patch:  # no report of an unlock reaches the relay
        patch.setattr(
            HttpCourier,
            "_send_request",
            make_failing_sender("/opened", RelayUnreachable(host="relay")),
        )
        for _ in range(3):
            assert failed_try_count(ana) == 0
    guess_wrongly(ana, 1)
    assert [failed_try_count(ana), failed_try_count(ana)] == [1, 0]


def make_failing_sender(path: str, error: Exception) -> Callable[..., bytes]:
    """Return a replacement for ``_send_request`` that raises ``error`` for requests to one path."""
    honest = HttpCourier._send_request

    def send_or_fail(courier: HttpCourier, url: str, what: RelayCall) -> bytes:
        if what.path.endswith(path):
            raise error
        return honest(courier, url, what)

    return send_or_fail


def check_locked_out(ana: DeviceAtRelay, folder_copy: Path) -> None:
    """Check that neither passphrase, and no guess, opens an older copy of the folder."""
    for passphrase in (PASSPHRASE, OTHER_PASSPHRASE, Secret(b"a guess at it")):
        with pytest.raises(OutdatedCopy), ana.open_device(passphrase, folder_copy):
            pass


@pytest.mark.threat("stolen-device")
@pytest.mark.threat("backups-revive")
def test_changed_passphrase_locks_every_earlier_copy(ana: DeviceAtRelay) -> None:
    folder_copy = ana.copy_folder("thief")
    guess_wrongly(ana, 9, folder_copy)
    with ana.unlock_device() as (device, unlocked):
        assert not change_passphrase(unlocked, OTHER_PASSPHRASE, device).part.outdated
    check_locked_out(ana, folder_copy)
    guess_wrongly(ana, 8)  # the change of the passphrase used one try
    with ana.unlock_device(OTHER_PASSPHRASE) as (device, unlocked):
        assert unlocked.missed == 8
        fetch_messages(device)
    check_locked_out(ana, folder_copy)
    with pytest.raises(WrongPassphrase), ana.open_device(PASSPHRASE):
        pass


@pytest.mark.parametrize("error", [RelayUnreachable(host="relay"), NotARelay(host="relay")])
def test_relay_is_told_of_the_new_passphrase_at_the_next_unlock(
    ana: DeviceAtRelay, error: RelayUnreachable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay cannot be told at once: it is unreachable, or too old to know the request."""
    folder_copy = ana.copy_folder("thief")
    with monkeypatch.context() as patch:
        patch.setattr(HttpCourier, "_send_request", make_failing_sender("/renew", error))
        with ana.unlock_device() as (device, unlocked):
            assert change_passphrase(unlocked, OTHER_PASSPHRASE, device).part.outdated
        for _ in range(2):
            with ana.unlock_device(OTHER_PASSPHRASE) as (device, unlocked):
                assert unlocked.part.outdated
                assert unlocked.missed == 0
                fetch_messages(device)
    with ana.unlock_device(OTHER_PASSPHRASE) as (_, unlocked):
        assert not unlocked.part.outdated
    check_locked_out(ana, folder_copy)


@pytest.mark.parametrize("interrupted_function", ["rekey", "write_vault_head"])
def test_interrupted_passphrase_change_still_unlocks_and_locks_copies(
    ana: DeviceAtRelay, interrupted_function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails before or after the vault is encrypted again, and before the relay is told of
    the new passphrase.
    """
    folder_copy, heads = ana.copy_folder("thief"), iter((write_vault_head, fail_power))
    with monkeypatch.context() as patch, ana.unlock_device() as (device, unlocked):
        patch.setattr(vault_folder, "write_vault_head", lambda *of: next(heads)(*of))  # noqa: PLW0108
        if interrupted_function == "rekey":
            patch.setattr(SqlcipherVault, "rekey", fail_power)
        with pytest.raises(PowerFailure):
            change_passphrase(unlocked, OTHER_PASSPHRASE, device)
    with ana.unlock_device(PASSPHRASE if interrupted_function == "rekey" else OTHER_PASSPHRASE) as (
        device,
        unlocked,
    ):
        fetch_messages(device)
        if interrupted_function == "rekey":
            change_passphrase(unlocked, OTHER_PASSPHRASE, device)
    check_locked_out(ana, folder_copy)


class PowerFailure(Exception):
    """Raised in place of a power failure."""


def fail_power(*_: object) -> None:
    raise PowerFailure


def test_restored_relay_unlocks_and_is_told_of_the_new_passphrase_again(ana: DeviceAtRelay) -> None:
    folder_copy, address = ana.copy_folder("thief"), ana.find_address()
    first = read_vault_head(ana.home).now.lock
    assert first is not None
    for passphrase, other in ((PASSPHRASE, OTHER_PASSPHRASE), (OTHER_PASSPHRASE, PASSPHRASE)):
        with ana.unlock_device(passphrase) as (device, unlocked):
            change_passphrase(unlocked, other, device)
    # The relay gets the first token again, as if it was restored from a backup.
    ana.courier.replace_unlock_token(first, address.owner)
    with ana.unlock_device() as (device, unlocked):
        assert not unlocked.part.outdated
        fetch_messages(device)
    check_locked_out(ana, folder_copy)


@pytest.mark.threat("database-changed")
def test_device_missing_from_a_restored_relay_is_unknown_but_not_locked(
    ana: DeviceAtRelay,
) -> None:
    """The relay's backup lacks the device's mailbox. The recovery sheet opens the vault."""
    with ana.unlock_device() as (device, unlocked):
        sheet = make_recovery_sheet(unlocked.part.output, None, device)
    with closing(sqlite3.connect(ana.folder / "relay" / "mail.db")) as database:
        for table in ("stored_mailbox", "stored_lock", "stored_key_bundle"):
            # The relay loses the mailbox, as if it was restored from an older backup.
            database.execute(f"DELETE FROM {table}")
        database.commit()
    for _ in range(2):
        with pytest.raises(MailboxUnknown), ana.open_device():
            pass
    with pytest.raises(MailboxUnknown):
        allow_more_tries(ana.settings, sheet)
    unlocking = open_unlocked(ana.settings, lambda: PASSPHRASE, sheet)
    with unlocking as (device, _), pytest.raises(UnlockNotConfirmed):
        fetch_messages(device)


def test_right_passphrases_use_up_no_tries(ana: DeviceAtRelay) -> None:
    for _ in range(11):
        with ana.open_device():
            pass


@pytest.mark.threat("stolen-device")
def test_right_passphrase_does_not_unlock_a_revoked_device(ana: DeviceAtRelay) -> None:
    """Neither the folder nor a copy of the folder opens, even with a made-up relay share."""
    folder_copy, address = ana.copy_folder("thief"), ana.find_address()
    assert address.close is not None
    ana.courier.close_mailbox(ana.url, address.mailbox, address.close)
    for home in (ana.home, folder_copy):
        for _ in range(2):
            with pytest.raises(RevokedDeviceLocked), ana.open_device(home=home):
                pass
        with pytest.raises(WrongPassphrase):
            unlock_vault_in_folder(home, PASSPHRASE, lambda _, __: RelayShare(Secret(bytes(64))))


@pytest.mark.threat("account-takeover")
def test_a_dump_of_the_relay_opens_no_vault(ana: DeviceAtRelay) -> None:
    """An attacker with the relay's data has the relay's key, but no folder and no passphrase."""
    with ana.unlock_device() as (device, unlocked):
        address, output = mailbox_address(device.vault), unlocked.part.output
    lock = read_vault_head(ana.home).now.lock
    assert address is not None
    assert address.close is not None
    assert lock is not None
    dump = names_and_contents(ana.folder / "relay")
    assert token_hash(lock.unlock_token) in dump
    secret = (ana.home / "device.key").read_bytes()
    tokens = [lock.unlock_token, address.owner, address.close]
    secrets = [one.reveal() for one in (PASSPHRASE, unlocked.stretched, output, *tokens)]
    assert [one for one in (secret, *secrets) if one in dump] == []
    with closing(sqlite3.connect(ana.folder / "relay" / "mail.db")) as database:
        ((key,),) = database.execute("SELECT key FROM stored_lock").fetchall()
    # An attacker who also has the folder still has to guess the passphrase.
    for passphrase in (OTHER_PASSPHRASE, PASSPHRASE):
        opens = passphrase is PASSPHRASE
        share = RelayShare(
            oprf_output(
                Secret(key),
                stretch_passphrase(passphrase, unlocked.terms.salt, unlocked.terms.cost),
            )
        )
        assert (share.output == output) == opens


def oprf_output(key: Secret, stretched: Secret) -> Secret:
    """Return the OPRF output that an attacker with the relay's key can compute alone."""
    private_input, scalar = oprf_input(stretched), scalar_from_random(bytes(range(64)))
    return finalize(private_input, scalar, evaluate(key, blind(private_input, scalar)))


@pytest.mark.threat("backups-revive")
def test_after_the_original_fetches_a_copy_of_its_folder_cannot(ana: DeviceAtRelay) -> None:
    folder_copy = ana.copy_folder("backup")
    with ana.open_device() as device:
        fetch_messages(device)
    for _ in range(2):
        with ana.open_device(home=folder_copy) as copy:
            with pytest.raises(RolledBack):
                fetch_messages(copy)
            assert tuple(copy.ledger.messages()) == ()
    with ana.open_device() as device:
        fetch_messages(device)


def test_offline_window_unlocks_without_the_relay_but_fetches_nothing(
    ana_offline: DeviceAtRelay,
) -> None:
    for _ in range(2):
        with ana_offline.unlock_device() as (device, unlocked):
            assert unlocked.part.kept_here
            with pytest.raises(UnlockNotConfirmed):
                fetch_messages(device)
            with pytest.raises(UnlockNotConfirmed):
                allow_offline_unlock(unlocked, 1, device.clock)
    with pytest.raises(WrongPassphrase), ana_offline.open_device(OTHER_PASSPHRASE):
        pass


def test_expired_offline_window_unlocks_nothing(ana_offline: DeviceAtRelay) -> None:
    clock = SettableClock(SystemClock().now() + timedelta(hours=1))
    with new_relay_client() as client:
        ask = RelayShareClient(ana_offline.home, HttpCourier(client), clock, SystemRandomSource())
        for _ in range(2):
            with pytest.raises(OfflineWindowExpired, match=r"only until .* 20\d\d, \d\d:\d\d UTC"):
                unlock_vault_in_folder(ana_offline.home, PASSPHRASE, ask)


def test_clock_ahead_while_the_relay_is_unreachable_does_not_close_the_offline_window(
    ana_offline: DeviceAtRelay,
) -> None:
    clock = SettableClock(SystemClock().now() + timedelta(hours=2))
    with new_relay_client() as client:
        ask = RelayShareClient(ana_offline.home, HttpCourier(client), clock, SystemRandomSource())
        with pytest.raises(OfflineWindowExpired):
            unlock_vault_in_folder(ana_offline.home, PASSPHRASE, ask)
    with ana_offline.unlock_device() as (_, unlocked):
        assert unlocked.part.kept_here


@pytest.mark.parametrize("is_revoked", [False, True])
def test_expired_window_is_closed_once_the_relay_has_answered(
    ana: DeviceAtRelay, *, is_revoked: bool
) -> None:
    with ana.unlock_device() as (device, unlocked):
        allow_offline_unlock(unlocked, 1, device.clock)
    if is_revoked:
        address = ana.find_address()
        ana.courier.close_mailbox(ana.url, address.mailbox, address.owner)
    clock = SettableClock(SystemClock().now() + timedelta(hours=2))
    ask = RelayShareClient(ana.home, ana.courier, clock, SystemRandomSource())
    with pytest.raises(RevokedDeviceLocked) if is_revoked else nullcontext():
        unlock_vault_in_folder(ana.home, PASSPHRASE, ask)
    assert not has_offline_window(ana.home)


def test_offline_window_is_closed_on_request_and_by_a_new_passphrase(ana: DeviceAtRelay) -> None:
    for close_window in (forbid_offline, change_to_other_passphrase):
        with ana.unlock_device() as (device, unlocked):
            allow_offline_unlock(unlocked, 168, device.clock)
            assert has_offline_window(ana.home)
            close_window(unlocked, device)
            assert not has_offline_window(ana.home)


def forbid_offline(unlocked: UnlockedVault, _: Device) -> None:
    forbid_offline_unlock(unlocked)


def change_to_other_passphrase(unlocked: UnlockedVault, device: Device) -> None:
    change_passphrase(unlocked, OTHER_PASSPHRASE, device)


def test_relay_that_answers_confirms_an_unlock_in_an_offline_window(ana: DeviceAtRelay) -> None:
    with ana.unlock_device() as (device, unlocked):
        allow_offline_unlock(unlocked, 1, device.clock)
    folder_copy = ana.copy_folder("backup")
    with ana.unlock_device() as (device, unlocked):
        assert unlocked.part.kept_here
        fetch_messages(device)
    with ana.open_device(home=folder_copy) as copy, pytest.raises(RolledBack):
        fetch_messages(copy)


def test_offline_window_ends_when_the_device_is_revoked(ana: DeviceAtRelay) -> None:
    with ana.unlock_device() as (device, unlocked):
        allow_offline_unlock(unlocked, 1, device.clock)
    address = ana.find_address()
    ana.courier.close_mailbox(ana.url, address.mailbox, address.owner)
    for _ in range(2):
        with pytest.raises(RevokedDeviceLocked), ana.open_device():
            pass
        assert not has_offline_window(ana.home)


def test_new_passphrase_replaces_the_first(ana: DeviceAtRelay) -> None:
    with ana.unlock_device() as (device, unlocked):
        with pytest.raises(WeakPassphrase):
            change_passphrase(unlocked, Secret(b"short"), device)
        change_passphrase(unlocked, OTHER_PASSPHRASE, device)
        fetch_messages(device)
    with pytest.raises(WrongPassphrase), ana.open_device():
        pass
    with ana.open_device(OTHER_PASSPHRASE) as device:
        fetch_messages(device)
    assert read_vault_head(ana.home).next is None


def test_deleted_master_key_is_only_on_the_sheet(ana: DeviceAtRelay) -> None:
    with ana.unlock_device() as (device, unlocked):
        sheet = make_recovery_sheet(unlocked.part.output, None, device)
        delete_master_key(device)
        delete_master_key(device)
        with pytest.raises(MasterKeyNotHere):
            make_recovery_sheet(unlocked.part.output, None, device)
        assert make_recovery_sheet(unlocked.part.output, sheet, device) == sheet
        fetch_messages(device)
    assert unlocked.part.output == sheet.output


def test_a_sheet_of_somebody_else_is_refused(ana: DeviceAtRelay, tmp_path: Path) -> None:
    with create_device(Settings(tmp_path / "ben", 0.0, pause_s=0), lambda: PASSPHRASE) as ben:
        set_up("Ben", ana.url, ben)
    with open_unlocked(Settings(tmp_path / "ben", 0.0, pause_s=0), lambda: PASSPHRASE) as (
        ben,
        unlocked,
    ):
        others = make_recovery_sheet(unlocked.part.output, None, ben)
    with ana.unlock_device() as (device, mine), pytest.raises(SheetOfAnotherPerson):
        make_recovery_sheet(mine.part.output, others, device)


def test_device_without_a_relay_opens_and_changes_its_passphrase(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home", 0.0, pause_s=0)
    with create_device(settings, lambda: PASSPHRASE) as device:
        set_up("Ana", None, device)
    with open_unlocked(settings, lambda: PASSPHRASE) as (device, unlocked):
        with pytest.raises(NotLockedAtRelay):
            allow_offline_unlock(unlocked, 1, device.clock)
        with pytest.raises(NothingToRecover):
            make_recovery_sheet(unlocked.part.output, None, device)
        change_passphrase(unlocked, OTHER_PASSPHRASE, device)
    with open_device(settings, lambda: OTHER_PASSPHRASE):
        pass


def test_next_command_finishes_an_interrupted_lock_at_the_relay(
    ana: DeviceAtRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The set-up is interrupted after the relay has the lock, and before the vault uses it."""
    settings = Settings(tmp_path / "ben", 0.0, pause_s=0)

    def skip_clean_up(_: Path) -> None:
        """Do nothing, because a killed process cannot clean up."""

    def interrupt(*_: object) -> RelayShare:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(wiring, "discard_vault", skip_clean_up)
        patch.setattr("entrenous.device.relay_lock_client.evaluate_at_relay", interrupt)
        with pytest.raises(KeyboardInterrupt), create_device(settings, lambda: PASSPHRASE) as ben:
            set_up("Ben", ana.url, ben)
    head = read_vault_head(settings.home)
    assert (head.now.lock, head.next is not None) == (None, True)
    with open_device(settings, lambda: PASSPHRASE) as ben:
        fetch_messages(ben)
    assert head.next is not None
    assert read_vault_head(settings.home).now.lock == head.next.lock
    with open_device(settings, lambda: PASSPHRASE) as ben:
        fetch_messages(ben)


def test_wrong_share_unlocks_nothing(ana: DeviceAtRelay) -> None:
    def return_wrong_share(lock: RelayLock, stretched: Secret) -> RelayShare:
        honest: AskRelayForShare = RelayShareClient(
            ana.home, ana.courier, SystemClock(), SystemRandomSource()
        )
        share = honest(lock, stretched)
        return RelayShare(Secret(share.output.reveal()[::-1]), share.tries_left)

    with pytest.raises(WrongPassphrase):
        unlock_vault_in_folder(ana.home, PASSPHRASE, return_wrong_share)
    with closing(unlock_vault_in_folder(ana.home, PASSPHRASE, share_client(ana)).vault):
        assert has_vault(ana.home)


def share_client(ana: DeviceAtRelay) -> RelayShareClient:
    return RelayShareClient(ana.home, ana.courier, SystemClock(), SystemRandomSource())
