"""Write a device's archive into a folder, and read one into a device (docs/spec/archive.md)."""

from pathlib import Path
from typing import Final

from entrenous.adapters.private_file import fill_private, write_private
from entrenous.adapters.relay_backup import empty_folder
from entrenous.adapters.vault.home import refuse_weak
from entrenous.craft.crypto.archive import lock_key, opening, sealing, unlock_key
from entrenous.craft.crypto.passphrase_file import NOISE_BYTES
from entrenous.model.archive import DamagedArchive, NoArchiveHere, TakenIn, Written
from entrenous.model.letter import DoesNotOpen
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.archive.read import read_archive
from entrenous.send.archive.write import Progress, write_archive
from entrenous.wiring.folders import kept_in

TAR: Final = "archive.tar.age"
KEY: Final = "archive.key.age"
_KEY_BYTES: Final = 32
_KEY_FILE_MAX: Final = 128 * 1024


def export_archive(out: Path, passphrase: Secret, device: Device, progress: Progress) -> Written:
    """Write this device's archive into a new or empty folder.

    Raises:
        WeakPassphrase, NotEmpty, UnusableFolder, DiskFull, BadRecord: no archive was made.
        TooMuchForArchive: none that could be read back.
    """
    refuse_weak(passphrase)
    key = Secret(device.dice.token(_KEY_BYTES))
    with kept_in(out):
        empty_folder(out)
        try:
            written = _write(out / TAR, key, device, progress)
            noise = device.dice.token(NOISE_BYTES)
            write_private(out / KEY, lock_key(key, passphrase, noise))
        except BaseException:
            (out / TAR).unlink(missing_ok=True)
            raise
    return written


def import_archive(folder: Path, passphrase: Secret, device: Device, progress: Progress) -> TakenIn:
    """Take in what the archive in a folder holds and this device has not.

    Raises:
        NoArchiveHere, WrongArchivePassphrase, BadArchive, DamagedArchive, DiskFull: nothing was
            changed.
    """
    with kept_in(folder):
        key = unlock_key(_key_file(folder), passphrase)
        try:
            with (folder / TAR).open("rb") as untrusted_file:
                return read_archive(opening(key, untrusted_file), device, progress)
        except DoesNotOpen:
            raise DamagedArchive(name=TAR) from None
        except FileNotFoundError:
            raise NoArchiveHere(path=folder) from None


def _write(place: Path, key: Secret, device: Device, progress: Progress) -> Written:
    made: list[Written] = []

    def fill(file: object) -> None:
        with sealing(key, file) as sealed:  # type: ignore[arg-type]
            made.append(write_archive(sealed, device, progress))

    fill_private(place, fill)
    return made[0]


def _key_file(folder: Path) -> bytes:
    try:
        with (folder / KEY).open("rb") as file:
            return file.read(_KEY_FILE_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NoArchiveHere(path=folder) from None
