"""Tests of evidence in a vault on disk: an interrupted erasure, and lost or damaged files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.store.vault_folder import create_vault_in_folder
from entrenous.respond.case_status import erase_case
from entrenous.respond.custody import CASES_TABLE
from entrenous.respond.evidence import EvidenceChanged, read_evidence, verify_case
from entrenous.respond.nouns import AgeAnswer, Case
from entrenous.respond.open_case import add_file, open_case
from tests.respond.case_owner import CaseOwner, situation_in
from tests.vaults import unlock_vault

PASSPHRASE = Secret(b"four or five unrelated words")


@contextmanager
def device_with(vault: SqlcipherVault) -> Iterator[Device]:
    yield replace(CaseOwner().device, vault=vault, ledger=VaultLedger(vault))
    vault.close()


def open_case_with_file(device: Device) -> Case:
    case = open_case(None, situation_in("GB"), AgeAnswer.ADULTS, device)
    return add_file(case.name, b"a private picture" * 1000, "a screenshot", device)


def sealed_files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "home" / "files").iterdir())


def test_interrupted_erasure_leaves_the_whole_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with device_with(create_vault_in_folder(tmp_path / "home", PASSPHRASE).vault) as device:
        case = open_case_with_file(device)
        monkeypatch.setattr(device.vault, "delete_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            erase_case(case.name, device)
    # Opening the vault deletes files that belong to no record.
    with device_with(unlock_vault(tmp_path / "home", PASSPHRASE)) as device:
        assert verify_case(case.name, device) == case
        erase_case(case.name, device)
        assert (device.vault.get(CASES_TABLE, case.name), sealed_files(tmp_path)) == (None, [])


@pytest.mark.threat("evidence-changed")
@pytest.mark.parametrize("damage", ["gone", "one bit", "cut short", "empty"])
def test_lost_or_damaged_file_is_reported_as_evidence_changed(damage: str, tmp_path: Path) -> None:
    with device_with(create_vault_in_folder(tmp_path / "home", PASSPHRASE).vault) as device:
        case = open_case_with_file(device)
        (file,) = sealed_files(tmp_path)
        data = file.read_bytes()
        if damage == "gone":
            file.unlink()
        else:
            changed = data[:500] + bytes([data[500] ^ 1]) + data[501:]
            file.write_bytes({"one bit": changed, "cut short": data[:-1], "empty": b""}[damage])
        for read in (
            lambda: verify_case(case.name, device),
            lambda: read_evidence(case.name, 1, "to look", device),
        ):
            with pytest.raises(EvidenceChanged, match=f"Item 1 of case {case.name}"):
                read()
