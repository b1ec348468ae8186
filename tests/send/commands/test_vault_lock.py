"""Tests of a vault's lock while relays are silent or refuse, and after a move."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.environment import Settings
from entrenous.base.errors import (
    EntrenousError,
    MailboxesClosed,
    NoSuchMailbox,
    NotUnderstood,
    ProtocolTooOld,
    RelayUnreachable,
    TooMany,
    WrongToken,
)
from entrenous.base.secret import Secret
from entrenous.crypto.vault_key import stretch_passphrase
from entrenous.device.open_device import open_unlocked
from entrenous.device.store.vault_folder import (
    KeyDerivationTerms,
    RelayShare,
    VaultHead,
    change_vault_key,
    read_vault_head,
    write_vault_head,
)
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY, EXIT_YES
from entrenous.wire.relay_nouns import RelayLock
from tests.send.commands.test_letters import PASSPHRASE, CommandLine, CommandResult
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL
from tests.vaults import LOWEST_COST
from tests.village.malicious_relay import HonestCall, error_trick

pytestmark = pytest.mark.slow

UNREACHABLE, REFUSED = EXIT_STATUS_BY_FAMILY["unreachable"], EXIT_STATUS_BY_FAMILY["refused"]
NEW_PASSPHRASE = "some other unrelated words"
SILENT = error_trick(RelayUnreachable(host="relay.test"))
REFUSALS = (
    TooMany(retry_after_s=9),
    NotUnderstood(),
    WrongToken(),
    NoSuchMailbox(),
    MailboxesClosed(),
    ProtocolTooOld(host="relay.test", floor=9, newest=9, ours=1),
)


@contextmanager
def no_network(cli: CommandLine) -> Iterator[None]:
    relays = dict(cli.apps)
    cli.apps.clear()
    yield
    cli.apps.update(relays)


def change_passphrase(cli: CommandLine, person: str) -> CommandResult:
    read, write = os.pipe()
    os.write(write, NEW_PASSPHRASE.encode() + b"\n")
    os.close(write)
    result = cli.run(person, "passphrase", "change", "--new-passphrase-fd", str(read))
    os.close(read)
    if result.status == EXIT_YES:
        cli.monkeypatch.setenv("ENTRENOUS_PASSPHRASE", NEW_PASSPHRASE)
    return result


def lock_of(folder: Path) -> RelayLock | None:
    return read_vault_head(folder).now.lock


def silent_at_new_relay(honest: HonestCall, lock: RelayLock, *arguments: Any) -> Any:
    if lock.relay_url == OTHER_RELAY_URL:
        raise RelayUnreachable(host="relay.test")
    return honest(lock, *arguments)


@pytest.fixture
def unlocked_dora(cli: CommandLine) -> Path:
    """Connect Dora's device to a relay that falls silent after it has made the vault's lock."""
    assert cli.run("dora", "setup", "--name", "dora", "--offline").status == EXIT_YES
    with cli.courier.replace_calls(unlock=SILENT):
        result = cli.run("dora", "device", "move", "--relay", RELAY_URL)
    assert result.status == EXIT_YES
    assert lock_of(cli.folder / "dora") is None
    return cli.folder / "dora"


def test_new_passphrase_waits_for_a_lock_that_was_begun(
    cli: CommandLine, unlocked_dora: Path
) -> None:
    with no_network(cli):
        assert change_passphrase(cli, "dora").status == UNREACHABLE
    assert cli.run("dora", "inbox").status == EXIT_YES
    assert lock_of(unlocked_dora) is not None
    assert change_passphrase(cli, "dora").status == EXIT_YES
    assert cli.run("dora", "inbox").status == EXIT_YES


def test_new_passphrase_finishes_a_lock_that_was_begun(
    cli: CommandLine, unlocked_dora: Path
) -> None:
    silent_once = error_trick(RelayUnreachable(host="relay.test"), times=1)
    with cli.courier.replace_calls(create_lock=silent_once):
        result = change_passphrase(cli, "dora")
    assert "can still be opened with the old passphrase" in result.out
    assert lock_of(unlocked_dora) is not None
    assert cli.run("dora", "inbox").status == EXIT_YES


def test_new_passphrase_finishes_a_lock_that_the_same_command_began(cli: CommandLine) -> None:
    """The relay makes the lock when the vault is opened, and its answer is lost."""
    home = cli.folder / "dora"
    cli.run("dora", "setup", "--name", "dora", "--offline")
    with cli.courier.replace_calls(create_lock=SILENT):
        cli.run("dora", "device", "move", "--relay", RELAY_URL)
    write_vault_head(home, VaultHead(read_vault_head(home).now))  # as if interrupted before this
    answers_to_lose = [RelayUnreachable(host="relay.test")]

    def lose_first_answer(honest: HonestCall, *arguments: Any) -> None:
        honest(*arguments)
        if answers_to_lose:
            raise answers_to_lose.pop()

    with cli.courier.replace_calls(create_lock=lose_first_answer):
        assert change_passphrase(cli, "dora").status == EXIT_YES
    assert answers_to_lose == []
    assert cli.run("dora", "inbox").status == EXIT_YES


def test_vault_of_the_first_format_uses_the_lock_of_the_relay_to_which_it_moves(
    cli: CommandLine,
) -> None:
    home = cli.folder / "ana"
    with open_unlocked(Settings(home, 0.0, pause_s=0), lambda: Secret(PASSPHRASE.encode())) as (
        _,
        unlocked,
    ):
        terms = KeyDerivationTerms(b"s" * 16, LOWEST_COST, first=True)
        stretched = stretch_passphrase(Secret(PASSPHRASE.encode()), terms.salt, terms.cost)
        change_vault_key(unlocked, terms, stretched, RelayShare())
    moved = cli.run("ana", "device", "move", "--relay", OTHER_RELAY_URL)
    assert moved.status == EXIT_YES
    lock = lock_of(home)
    assert lock is not None
    assert lock.relay_url == OTHER_RELAY_URL
    assert change_passphrase(cli, "ana").status == EXIT_YES
    assert cli.run("ana", "inbox").status == EXIT_YES


@pytest.mark.parametrize("refusal", REFUSALS, ids=type)
def test_offline_window_opens_whatever_the_relay_answers(
    cli: CommandLine, refusal: EntrenousError
) -> None:
    assert cli.run("ana", "device", "offline", "--hours", "48").status == EXIT_YES
    with cli.courier.replace_calls(report_vault_unlock=error_trick(refusal)):
        assert cli.run("ana", "sent").status == EXIT_YES
        assert "unlocked without its relay" in cli.run("ana", "inbox").err
    assert cli.run("ana", "inbox").err == ""


@pytest.mark.parametrize("refusal", REFUSALS, ids=type)
def test_vault_without_a_lock_opens_whatever_the_relay_answers(
    cli: CommandLine, unlocked_dora: Path, refusal: EntrenousError
) -> None:
    with cli.courier.replace_calls(create_lock=error_trick(refusal)):
        assert cli.run("dora", "sent").status == EXIT_YES
    assert lock_of(unlocked_dora) is None
    assert cli.run("dora", "sent").status == EXIT_YES
    assert lock_of(unlocked_dora) is not None


def test_wrong_passphrases_are_reported_while_the_lock_is_at_the_old_relay(
    cli: CommandLine,
) -> None:
    with cli.courier.replace_calls(unlock=silent_at_new_relay):
        moved = cli.run("ana", "device", "move", "--relay", OTHER_RELAY_URL)
        assert moved.status == EXIT_YES
    cli.apps.pop(OTHER_RELAY_URL)
    for _ in range(4):
        assert cli.run("ana", "sent").err == ""
    with cli.monkeypatch.context() as patch:
        patch.setenv("ENTRENOUS_PASSPHRASE", "a wrong passphrase")
        for _ in range(2):
            assert cli.run("ana", "sent").status == REFUSED
    assert cli.run("ana", "sent").err.startswith("2 tries at this device's passphrase failed")
    assert cli.run("ana", "sent").err == ""


def test_offline_window_stays_open_until_the_lock_has_moved(cli: CommandLine) -> None:
    window = cli.folder / "ana" / "offline.key"
    assert cli.run("ana", "device", "offline", "--hours", "48").status == EXIT_YES
    with cli.courier.replace_calls(unlock=silent_at_new_relay):
        moved = cli.run("ana", "device", "move", "--relay", OTHER_RELAY_URL)
        assert moved.status == EXIT_YES
    with no_network(cli):
        assert cli.run("ana", "sent").status == EXIT_YES
    assert cli.run("ana", "inbox").status == EXIT_YES
    assert not window.exists()
