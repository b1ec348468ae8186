"""A set-up that came to nothing takes its lock away; who waited for that one holds the next."""

import os
import threading
from pathlib import Path

from entrenous.device.store.database import lock_folder
from entrenous.device.store.vault_folder import clear_away


def test_who_waited_for_a_lock_that_was_taken_away_holds_the_new_one(tmp_path: Path) -> None:
    held, came = lock_folder(tmp_path, 0), list[int]()
    waiting = threading.Thread(target=lambda: came.append(lock_folder(tmp_path, 5)))
    waiting.start()
    (tmp_path / "lock").unlink()
    os.close(held)
    waiting.join()
    (later,) = came
    assert os.path.samestat(os.fstat(later), (tmp_path / "lock").stat())
    os.close(later)


def test_nothing_is_cleared_away_while_somebody_holds_it_or_where_a_device_is(
    tmp_path: Path,
) -> None:
    held = lock_folder(tmp_path, 0)
    clear_away(tmp_path, folder_too=True)
    assert (tmp_path / "lock").exists()
    os.close(held)
    (tmp_path / "vault.json").write_text("{}")
    clear_away(tmp_path, folder_too=True)
    assert (tmp_path / "lock").exists()
    (tmp_path / "vault.json").unlink()
    clear_away(tmp_path, folder_too=True)
    assert not tmp_path.exists()
