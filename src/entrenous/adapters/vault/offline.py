"""The offline window: for some hours, a vault that opens without its relay (lock.md section 4).

``offline.key`` holds the relay's part of the key, sealed under the passphrase alone. It is kept by
honest devices until its time is over; somebody who copied the folder keeps it for ever.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

from entrenous.adapters.private_file import sweep_unfinished, sync_folder, write_private
from entrenous.craft.crypto.blob import decrypt_blob, encrypt_blob
from entrenous.craft.crypto.vault_key import OUTPUT_BYTES, offline_key
from entrenous.craft.wire.cbor import BadCbor, as_bytes, as_list, as_time, decode, encode
from entrenous.model.letter import DoesNotOpen
from entrenous.model.secret import Secret

_FILE: Final = "offline.key"


def has_window(home: Path) -> bool:
    """Whether a window was opened, be it over or not."""
    return (home / _FILE).is_file()


def open_window(home: Path, stretched: Secret, output: Secret, until: datetime) -> None:
    """Let whoever knows the passphrase open the vault without the relay until then."""
    plain = encode([int(until.timestamp()), output.reveal()])
    write_private(home / _FILE, encrypt_blob(offline_key(stretched), plain))


def read_window(home: Path, stretched: Secret) -> tuple[datetime, Secret] | None:
    """Until when, and the relay's part; None if there is none that this passphrase opens."""
    try:
        plain = decrypt_blob(offline_key(stretched), (home / _FILE).read_bytes())
        until, output = as_list(decode(plain), 2, 2)
        return as_time(until), Secret(as_bytes(output, OUTPUT_BYTES))
    except (FileNotFoundError, DoesNotOpen, BadCbor):
        return None


def close_window(home: Path) -> None:
    """Forget it, and one that a kill left under a passing name; there need not be one. Only for
    who holds the vault's lock.
    """
    (home / _FILE).unlink(missing_ok=True)
    sync_folder(home)
    sweep_unfinished(home)
