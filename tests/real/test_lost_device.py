"""What unlocks a device's vault when the device is lost, copied, attacked by guesses, or offline.

Real vaults and a real relay over HTTP; argon2id has its least cost, except where time is measured.
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
from entrenous.device.identities import MailboxAddress
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
    mailbox_address,
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
from tests.carry.relays import WoundClock, disk_relay, served
from tests.real.stage import all_bytes
from tests.vaults import create_device, make_vaults_open_quickly, open_device

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("socket_enabled")]

WORDS, OTHERS = Secret(b"four or five unrelated words"), Secret(b"some other unrelated words")


@dataclass
class Town:
    """A relay, and Ana's device at it."""

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
    def opened(self, words: Secret = WORDS, home: Path | None = None) -> Iterator[Device]:
        with open_device(Settings(home or self.home, 0.0, pause_s=0), lambda: words) as device:
            yield device

    @contextmanager
    def unlocked(self, words: Secret = WORDS) -> Iterator[tuple[Device, UnlockedVault]]:
        with open_unlocked(self.settings, lambda: words) as both:
            yield both

    def mail(self) -> MailboxAddress:
        with self.opened() as device:
            home = mailbox_address(device.vault)
        assert home is not None
        return home

    def image(self, name: str) -> Path:
        """Copy Ana's whole folder, and return the path of the copy."""
        return Path(shutil.copytree(self.home, self.folder / name))


@contextmanager
def town_in(folder: Path) -> Iterator[Town]:
    with (
        disk_relay(folder / "relay", WoundClock()) as relay,
        served(relay_app(relay)) as url,
        new_relay_client() as client,
    ):
        town = Town(folder, url, HttpCourier(client))
        with create_device(town.settings, lambda: WORDS) as device:
            set_up("Ana", url, device)
        yield town


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Create new vaults with the least cost of a guess at the passphrase."""
    make_vaults_open_quickly(monkeypatch)


@pytest.fixture
def town(tmp_path: Path, cheap: None) -> Iterator[Town]:  # noqa: ARG001
    with town_in(tmp_path) as town:
        yield town


@pytest.fixture
def gone(tmp_path: Path, cheap: None) -> Town:  # noqa: ARG001
    """Let Ana allow offline unlocking for one hour; then the relay is stopped for good."""
    with town_in(tmp_path) as town, town.unlocked() as (device, unlocked):
        allow_offline_unlock(unlocked, 1, device.clock)
    return town


def test_unlocking_takes_no_two_seconds(tmp_path: Path) -> None:
    taken = []
    with town_in(tmp_path) as town:
        for _ in range(3):
            begun = time.process_time()
            with town.opened():
                taken.append(time.process_time() - begun)
    assert read_vault_head(town.home).now.cost == Argon2Cost(65_536, 3, 4)
    print(f"unlocking: {min(taken):.2f} s, with argon2id at 64 MiB")  # noqa: T201
    assert min(taken) < 2


def test_a_set_up_at_a_relay_ends_with_a_lock(town: Town) -> None:
    lock = read_vault_head(town.home).now.lock
    assert lock is not None
    assert (lock.relay_url, lock.mailbox) == (town.url, town.mail().mailbox)
    with pytest.raises(WrongPassphrase):
        unlock_vault_in_folder(town.home, WORDS, lambda _, __: RelayShare())


@pytest.mark.threat("stolen-device")
def test_the_eleventh_guess_is_locked_and_the_sheet_frees_it(town: Town) -> None:
    with town.unlocked() as (device, unlocked):
        sheet = read_sheet(write_sheet(make_recovery_sheet(unlocked.part.output, None, device)))
    said = []
    for guess in range(11):
        try:
            with town.opened(Secret(b"guess number %d" % guess)):
                pass
        except (WrongPassphrase, Locked) as why:
            said.append(type(why))
    assert said == [*[WrongPassphrase] * 6, *[FewTriesLeft] * 3, *[RelayLockedOut] * 2]
    with pytest.raises(Locked), town.opened():
        pass
    allow_more_tries(town.settings, sheet)
    with town.opened() as device:
        fetch_messages(device)


def guesses(town: Town, times: int, home: Path | None = None) -> None:
    for guess in range(times):
        with pytest.raises(WrongPassphrase), town.opened(Secret(b"guess number %d" % guess), home):
            pass


def missed(town: Town) -> int:
    with town.unlocked() as (_, unlocked):
        return unlocked.missed


@pytest.mark.threat("stolen-device")
def test_guesses_at_a_copy_are_told_when_the_original_opens(town: Town) -> None:
    """The right passphrase restores all ten tries, so a patient thief has nine more each time."""
    image = town.image("thief")
    assert missed(town) == 0
    for times in (9, 1):
        guesses(town, times, image)
        assert missed(town) == times
        assert missed(town) == 0


def test_what_a_device_asked_itself_is_no_guess(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    with town.unlocked() as (device, unlocked):
        changed = change_passphrase(unlocked, OTHERS, device)
        changed = change_passphrase(changed, WORDS, device)
    assert changed.missed == missed(town) == 0
    with monkeypatch.context() as patch:  # the relay is unreachable after it has computed its share
        patch.setattr(
            HttpCourier, "_send_request", without("/opened", RelayUnreachable(host="relay"))
        )
        for _ in range(3):
            assert missed(town) == 0
    guesses(town, 1)
    assert [missed(town), missed(town)] == [1, 0]


def without(path: str, why: Exception) -> Callable[..., bytes]:
    """Return a replacement for ``_send_request`` that raises ``why`` for requests to one path."""
    honest = HttpCourier._send_request

    def asks(courier: HttpCourier, url: str, what: RelayCall) -> bytes:
        if what.path.endswith(path):
            raise why
        return honest(courier, url, what)

    return asks


def is_shut(town: Town, image: Path) -> None:
    """Check that no passphrase opens an older copy of the folder."""
    for words in (WORDS, OTHERS, Secret(b"a guess at it")):
        with pytest.raises(OutdatedCopy), town.opened(words, image):
            pass


@pytest.mark.threat("stolen-device")
@pytest.mark.threat("backups-revive")
def test_another_passphrase_shuts_every_copy_from_before(town: Town) -> None:
    image = town.image("thief")
    guesses(town, 9, image)
    with town.unlocked() as (device, unlocked):
        assert not change_passphrase(unlocked, OTHERS, device).part.outdated
    is_shut(town, image)
    guesses(town, 8)  # at the original folder; change_passphrase used one try itself
    with town.unlocked(OTHERS) as (device, unlocked):
        assert unlocked.missed == 8
        fetch_messages(device)
    is_shut(town, image)
    with pytest.raises(WrongPassphrase), town.opened(WORDS):
        pass


@pytest.mark.parametrize("why", [RelayUnreachable(host="relay"), NotARelay(host="relay")])
def test_a_relay_that_does_not_hear_of_it_hears_at_the_next_opening(
    town: Town, why: RelayUnreachable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This includes an older relay, which answers that the address does not exist."""
    image = town.image("thief")
    with monkeypatch.context() as patch:
        patch.setattr(HttpCourier, "_send_request", without("/renew", why))
        with town.unlocked() as (device, unlocked):
            assert change_passphrase(unlocked, OTHERS, device).part.outdated
        for _ in range(2):
            with town.unlocked(OTHERS) as (device, unlocked):
                assert unlocked.part.outdated
                assert unlocked.missed == 0
                fetch_messages(device)
    with town.unlocked(OTHERS) as (_, unlocked):
        assert not unlocked.part.outdated
    is_shut(town, image)


@pytest.mark.parametrize("cut_in", ["rekey", "write_vault_head"])
def test_a_change_that_was_cut_short_still_opens_and_shuts_copies(
    town: Town, cut_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails before or after the vault is encrypted anew; the relay was not told."""
    image, heads = town.image("thief"), iter((write_vault_head, cut))
    with monkeypatch.context() as patch, town.unlocked() as (device, unlocked):
        patch.setattr(vault_folder, "write_vault_head", lambda *of: next(heads)(*of))  # noqa: PLW0108
        if cut_in == "rekey":
            patch.setattr(SqlcipherVault, "rekey", cut)
        with pytest.raises(Cut):
            change_passphrase(unlocked, OTHERS, device)
    with town.unlocked(WORDS if cut_in == "rekey" else OTHERS) as (device, unlocked):
        fetch_messages(device)
        if cut_in == "rekey":
            change_passphrase(unlocked, OTHERS, device)
    is_shut(town, image)


class Cut(Exception):
    """The power fails."""


def cut(*_: object) -> None:
    raise Cut


def test_a_relay_that_was_restored_from_before_opens_and_is_told_again(town: Town) -> None:
    image, mail = town.image("thief"), town.mail()
    first = read_vault_head(town.home).now.lock
    assert first is not None
    for words, other in ((WORDS, OTHERS), (OTHERS, WORDS)):
        with town.unlocked(words) as (device, unlocked):
            change_passphrase(unlocked, other, device)
    town.courier.replace_unlock_token(first, mail.owner)  # as it stood in the relay's backup
    with town.unlocked() as (device, unlocked):
        assert not unlocked.part.outdated
        fetch_messages(device)
    is_shut(town, image)


@pytest.mark.threat("database-changed")
def test_a_device_that_is_newer_than_its_relays_backup_is_unknown_and_not_shut(town: Town) -> None:
    """The backup lacks the relay's part of the lock. The sheet has it, and nothing is lost."""
    with town.unlocked() as (device, unlocked):
        sheet = make_recovery_sheet(unlocked.part.output, None, device)
    with closing(sqlite3.connect(town.folder / "relay" / "mail.db")) as database:
        for table in ("stored_mailbox", "stored_lock", "stored_key_bundle"):
            database.execute(f"DELETE FROM {table}")  # as the backup has them
        database.commit()
    for _ in range(2):
        with pytest.raises(MailboxUnknown), town.opened():
            pass
    with pytest.raises(MailboxUnknown):
        allow_more_tries(town.settings, sheet)
    opened = open_unlocked(town.settings, lambda: WORDS, sheet)
    with opened as (device, _), pytest.raises(UnlockNotConfirmed):
        fetch_messages(device)


def test_right_guesses_use_nothing_up(town: Town) -> None:
    for _ in range(11):
        with town.opened():
            pass


@pytest.mark.threat("stolen-device")
def test_a_revoked_device_stays_shut_with_the_right_passphrase(town: Town) -> None:
    """This includes an earlier copy of the folder, whatever share a relay returns."""
    image, mail = town.image("thief"), town.mail()
    assert mail.close is not None
    town.courier.close_mailbox(town.url, mail.mailbox, mail.close)
    for home in (town.home, image):
        for _ in range(2):
            with pytest.raises(RevokedDeviceLocked), town.opened(home=home):
                pass
        with pytest.raises(WrongPassphrase):
            unlock_vault_in_folder(home, WORDS, lambda _, __: RelayShare(Secret(bytes(64))))


@pytest.mark.threat("account-takeover")
def test_a_dump_of_the_relay_opens_no_vault(town: Town) -> None:
    """Whoever takes over the relay gets its key, but lacks the folder and the passphrase."""
    with town.unlocked() as (device, unlocked):
        mail, output = mailbox_address(device.vault), unlocked.part.output
    lock = read_vault_head(town.home).now.lock
    assert mail is not None
    assert mail.close is not None
    assert lock is not None
    dump = all_bytes(town.folder / "relay")
    assert token_hash(lock.unlock_token) in dump
    secret = (town.home / "device.key").read_bytes()
    opening = [WORDS, unlocked.stretched, output, lock.unlock_token, mail.owner, mail.close]
    assert [one for one in (secret, *(part.reveal() for part in opening)) if one in dump] == []
    with closing(sqlite3.connect(town.folder / "relay" / "mail.db")) as database:
        ((key,),) = database.execute("SELECT key FROM stored_lock").fetchall()
    for words in (OTHERS, WORDS):  # even with the folder, the passphrase has to be guessed
        opens = words is WORDS
        part = RelayShare(
            value_under(
                Secret(key), stretch_passphrase(words, unlocked.terms.salt, unlocked.terms.cost)
            )
        )
        assert (part.output == output) == opens


def value_under(key: Secret, stretched: Secret) -> Secret:
    """Return the OPRF output that somebody with the relay's key can compute alone."""
    untold, scalar = oprf_input(stretched), scalar_from_random(bytes(range(64)))
    return finalize(untold, scalar, evaluate(key, blind(untold, scalar)))


@pytest.mark.threat("backups-revive")
def test_of_a_copy_and_its_original_one_goes_on(town: Town) -> None:
    image = town.image("backup")
    with town.opened() as device:
        fetch_messages(device)
    for _ in range(2):
        with town.opened(home=image) as copy:
            with pytest.raises(RolledBack):
                fetch_messages(copy)
            assert tuple(copy.ledger.messages()) == ()
    with town.opened() as device:
        fetch_messages(device)


def test_a_window_opens_without_the_relay_and_moves_no_ratchet(gone: Town) -> None:
    for _ in range(2):
        with gone.unlocked() as (device, unlocked):
            assert unlocked.part.kept_here
            with pytest.raises(UnlockNotConfirmed):
                fetch_messages(device)
            with pytest.raises(UnlockNotConfirmed):
                allow_offline_unlock(unlocked, 1, device.clock)
    with pytest.raises(WrongPassphrase), gone.opened(OTHERS):
        pass


def test_a_window_that_is_over_opens_nothing(gone: Town) -> None:
    clock = WoundClock(SystemClock().now() + timedelta(hours=1))
    with new_relay_client() as client:
        ask = RelayShareClient(gone.home, HttpCourier(client), clock, SystemRandomSource())
        for _ in range(2):
            with pytest.raises(OfflineWindowExpired, match=r"Since .* 20\d\d, \d\d:\d\d UTC, this"):
                unlock_vault_in_folder(gone.home, WORDS, ask)


def test_a_clock_that_was_ahead_while_the_relay_was_away_ends_no_window(gone: Town) -> None:
    clock = WoundClock(SystemClock().now() + timedelta(hours=2))
    with new_relay_client() as client:
        ask = RelayShareClient(gone.home, HttpCourier(client), clock, SystemRandomSource())
        with pytest.raises(OfflineWindowExpired):
            unlock_vault_in_folder(gone.home, WORDS, ask)
    with gone.unlocked() as (_, unlocked):
        assert unlocked.part.kept_here


@pytest.mark.parametrize("shut", [False, True])
def test_a_window_that_is_over_is_closed_once_the_relay_has_answered(
    town: Town, *, shut: bool
) -> None:
    with town.unlocked() as (device, unlocked):
        allow_offline_unlock(unlocked, 1, device.clock)
    if shut:
        mail = town.mail()
        town.courier.close_mailbox(town.url, mail.mailbox, mail.owner)
    clock = WoundClock(SystemClock().now() + timedelta(hours=2))
    ask = RelayShareClient(town.home, town.courier, clock, SystemRandomSource())
    with pytest.raises(RevokedDeviceLocked) if shut else nullcontext():
        unlock_vault_in_folder(town.home, WORDS, ask)
    assert not has_offline_window(town.home)


def test_a_window_is_closed_by_hand_and_by_another_passphrase(town: Town) -> None:
    for close in (forbid, changes):
        with town.unlocked() as (device, unlocked):
            allow_offline_unlock(unlocked, 168, device.clock)
            assert has_offline_window(town.home)
            close(unlocked, device)
            assert not has_offline_window(town.home)


def forbid(unlocked: UnlockedVault, _: Device) -> None:
    forbid_offline_unlock(unlocked)


def changes(unlocked: UnlockedVault, device: Device) -> None:
    change_passphrase(unlocked, OTHERS, device)


def test_in_a_window_a_relay_that_answers_confirms(town: Town) -> None:
    with town.unlocked() as (device, unlocked):
        allow_offline_unlock(unlocked, 1, device.clock)
    image = town.image("backup")
    with town.unlocked() as (device, unlocked):
        assert unlocked.part.kept_here
        fetch_messages(device)
    with town.opened(home=image) as copy, pytest.raises(RolledBack):
        fetch_messages(copy)


def test_a_window_ends_when_the_device_is_revoked(town: Town) -> None:
    with town.unlocked() as (device, unlocked):
        allow_offline_unlock(unlocked, 1, device.clock)
    mail = town.mail()
    town.courier.close_mailbox(town.url, mail.mailbox, mail.owner)
    for _ in range(2):
        with pytest.raises(RevokedDeviceLocked), town.opened():
            pass
        assert not has_offline_window(town.home)


def test_another_passphrase_replaces_the_first(town: Town) -> None:
    with town.unlocked() as (device, unlocked):
        with pytest.raises(WeakPassphrase):
            change_passphrase(unlocked, Secret(b"short"), device)
        change_passphrase(unlocked, OTHERS, device)
        fetch_messages(device)
    with pytest.raises(WrongPassphrase), town.opened():
        pass
    with town.opened(OTHERS) as device:
        fetch_messages(device)
    assert read_vault_head(town.home).next is None


def test_the_master_key_leaves_with_the_sheet(town: Town) -> None:
    with town.unlocked() as (device, unlocked):
        sheet = make_recovery_sheet(unlocked.part.output, None, device)
        delete_master_key(device)
        delete_master_key(device)
        with pytest.raises(MasterKeyNotHere):
            make_recovery_sheet(unlocked.part.output, None, device)
        assert make_recovery_sheet(unlocked.part.output, sheet, device) == sheet
        fetch_messages(device)
    assert unlocked.part.output == sheet.output


def test_a_sheet_of_somebody_else_is_refused(town: Town, tmp_path: Path) -> None:
    with create_device(Settings(tmp_path / "ben", 0.0, pause_s=0), lambda: WORDS) as ben:
        set_up("Ben", town.url, ben)
    with open_unlocked(Settings(tmp_path / "ben", 0.0, pause_s=0), lambda: WORDS) as (
        ben,
        unlocked,
    ):
        others = make_recovery_sheet(unlocked.part.output, None, ben)
    with town.unlocked() as (device, mine), pytest.raises(SheetOfAnotherPerson):
        make_recovery_sheet(mine.part.output, others, device)


def test_a_device_without_a_relay_needs_none(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home", 0.0, pause_s=0)
    with create_device(settings, lambda: WORDS) as device:
        set_up("Ana", None, device)
    with open_unlocked(settings, lambda: WORDS) as (device, unlocked):
        with pytest.raises(NotLockedAtRelay):
            allow_offline_unlock(unlocked, 1, device.clock)
        with pytest.raises(NothingToRecover):
            make_recovery_sheet(unlocked.part.output, None, device)
        change_passphrase(unlocked, OTHERS, device)
    with open_device(settings, lambda: OTHERS):
        pass


def test_a_set_up_that_was_cut_short_before_its_lock_is_locked_by_the_next_command(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command dies after the relay has the lock, before the vault is encrypted with it."""
    settings = Settings(tmp_path / "ben", 0.0, pause_s=0)

    def killed(_: Path) -> None:
        """Do nothing, since a process that is killed cannot clean up."""

    def no_answer(*_: object) -> RelayShare:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(wiring, "discard_vault", killed)
        patch.setattr("entrenous.device.relay_lock_client.evaluate_at_relay", no_answer)
        with pytest.raises(KeyboardInterrupt), create_device(settings, lambda: WORDS) as ben:
            set_up("Ben", town.url, ben)
    head = read_vault_head(settings.home)
    assert (head.now.lock, head.next is not None) == (None, True)
    with open_device(settings, lambda: WORDS) as ben:
        fetch_messages(ben)
    assert head.next is not None
    assert read_vault_head(settings.home).now.lock == head.next.lock
    with open_device(settings, lambda: WORDS) as ben:
        fetch_messages(ben)


def test_a_relay_that_answers_something_else_opens_nothing(town: Town) -> None:
    def lies(lock: RelayLock, stretched: Secret) -> RelayShare:
        honest: AskRelayForShare = RelayShareClient(
            town.home, town.courier, SystemClock(), SystemRandomSource()
        )
        part = honest(lock, stretched)
        return RelayShare(Secret(part.output.reveal()[::-1]), part.tries_left)

    with pytest.raises(WrongPassphrase):
        unlock_vault_in_folder(town.home, WORDS, lies)
    with closing(unlock_vault_in_folder(town.home, WORDS, asking(town)).vault):
        assert has_vault(town.home)


def asking(town: Town) -> RelayShareClient:
    return RelayShareClient(town.home, town.courier, SystemClock(), SystemRandomSource())
