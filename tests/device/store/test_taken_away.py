"""Tests of locking a folder whose lock file is deleted, and of deleting a failed set-up."""

import os
import threading
from pathlib import Path

from entrenous.device.store.database import lock_folder
from entrenous.device.store.vault_folder import delete_failed_set_up


def test_waiting_for_a_deleted_lock_file_ends_with_the_new_lock(tmp_path: Path) -> None:
    lock, locks = lock_folder(tmp_path, 0), list[int]()
    waiter = threading.Thread(target=lambda: locks.append(lock_folder(tmp_path, 5)))
    waiter.start()
    (tmp_path / "lock").unlink()
    os.close(lock)
    waiter.join()
    (later,) = locks
    assert os.path.samestat(os.fstat(later), (tmp_path / "lock").stat())
    os.close(later)


def test_deleting_a_failed_set_up_spares_locked_folders_and_devices(
    tmp_path: Path,
) -> None:
    lock = lock_folder(tmp_path, 0)
    delete_failed_set_up(tmp_path, folder_too=True)
    assert (tmp_path / "lock").exists()
    os.close(lock)
    (tmp_path / "vault.json").write_text("{}")
    delete_failed_set_up(tmp_path, folder_too=True)
    assert (tmp_path / "lock").exists()
    (tmp_path / "vault.json").unlink()
    delete_failed_set_up(tmp_path, folder_too=True)
    assert not tmp_path.exists()
