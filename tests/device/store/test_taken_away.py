"""A failed set-up deletes its lock file; a process that waited for it locks the next one."""

import os
import threading
from pathlib import Path

from entrenous.device.store.database import lock_folder
from entrenous.device.store.vault_folder import delete_failed_set_up


def test_waiter_for_a_deleted_folder_lock_gets_the_new_one(tmp_path: Path) -> None:
    held, came = lock_folder(tmp_path, 0), list[int]()
    waiting = threading.Thread(target=lambda: came.append(lock_folder(tmp_path, 5)))
    waiting.start()
    (tmp_path / "lock").unlink()
    os.close(held)
    waiting.join()
    (later,) = came
    assert os.path.samestat(os.fstat(later), (tmp_path / "lock").stat())
    os.close(later)


def test_clear_away_spares_a_locked_folder_and_a_device(
    tmp_path: Path,
) -> None:
    held = lock_folder(tmp_path, 0)
    delete_failed_set_up(tmp_path, folder_too=True)
    assert (tmp_path / "lock").exists()
    os.close(held)
    (tmp_path / "vault.json").write_text("{}")
    delete_failed_set_up(tmp_path, folder_too=True)
    assert (tmp_path / "lock").exists()
    (tmp_path / "vault.json").unlink()
    delete_failed_set_up(tmp_path, folder_too=True)
    assert not tmp_path.exists()
