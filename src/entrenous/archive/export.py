"""Write an encrypted archive into a folder, and import one."""

from pathlib import Path
from typing import BinaryIO, Final, cast
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from entrenous.archive.archive_format import (
    ArchiveNotFound,
    DamagedArchive,
    ExportReport,
    ImportReport,
    NotAnArchive,
    decrypt_key,
    decrypting_reader,
    encrypt_key,
    encrypting_writer,
)
from entrenous.archive.read_archive import read_archive
from entrenous.archive.write_archive import Progress, write_archive
from entrenous.base.files import empty_folder, folder_errors, write_private, write_private_with
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import NOISE_BYTES
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.device import Device
from entrenous.device.store.vault_folder import refuse_weak

TAR: Final = "archive.tar.age"
KEY: Final = "archive.key.age"
_KEY_BYTES: Final = 32
_KEY_FILE_BYTES_MAX: Final = 128 * 1024


def export_archive(
    out: Path, passphrase: Secret, device: Device, progress: Progress
) -> ExportReport:
    """Write this device's archive into a new or empty folder.

    Raises:
        WeakPassphrase, NotEmpty, UnusableFolder, DiskFull, BadRecord: no archive was made.
        TooMuchForArchive: no archive was made, since no device could read it.
    """
    refuse_weak(passphrase)
    key = Secret(device.dice.token(_KEY_BYTES))
    with folder_errors(out):
        empty_folder(out)
        try:
            written = _write_to_folder(out / TAR, key, device, progress)
            noise = device.dice.token(NOISE_BYTES)
            write_private(out / KEY, encrypt_key(key, passphrase, noise))
        except BaseException:
            (out / TAR).unlink(missing_ok=True)
            raise
    return written


def import_archive(
    folder: Path, passphrase: Secret, device: Device, progress: Progress
) -> ImportReport:
    """Import what is in an archive and not yet on this device.

    Raises:
        ArchiveNotFound, WrongArchivePassphrase, BadArchive, DamagedArchive, DiskFull: nothing was
            changed.
    """
    with folder_errors(folder):
        key = decrypt_key(_key_file(folder), passphrase)
        try:
            with (folder / TAR).open("rb") as untrusted_file:
                return read_archive(decrypting_reader(key, untrusted_file), device, progress)
        except DecryptionFailed:
            raise DamagedArchive(name=TAR) from None
        except FileNotFoundError:
            raise ArchiveNotFound(path=folder) from None


def export_to_file(
    place: Path, passphrase: Secret, device: Device, progress: Progress
) -> ExportReport:
    """Write this device's archive into one file, for a browser to save: a ZIP of the two files.

    Raises WeakPassphrase, DiskFull, BadRecord, TooMuchForArchive.
    """
    refuse_weak(passphrase)
    key = Secret(device.dice.token(_KEY_BYTES))
    made: list[ExportReport] = []

    def fill(file: BinaryIO) -> None:
        with ZipFile(file, "w", ZIP_STORED) as both:
            with (
                both.open(ZipInfo(TAR), "w", force_zip64=True) as part,
                encrypting_writer(key, cast("BinaryIO", part)) as sealed,
            ):
                made.append(write_archive(sealed, device, progress))
            noise = device.dice.token(NOISE_BYTES)
            both.writestr(ZipInfo(KEY), encrypt_key(key, passphrase, noise))

    with folder_errors(place.parent):
        write_private_with(place, fill)
    return made[0]


def import_from_file(
    untrusted_file: BinaryIO, passphrase: Secret, device: Device, progress: Progress
) -> ImportReport:
    """Import an archive in one file, as :func:`export_to_file` makes it.

    Raises:
        NotAnArchive, WrongArchivePassphrase, BadArchive, DamagedArchive, DiskFull: nothing was
            changed.
    """
    try:
        with ZipFile(untrusted_file) as both:
            if any(both.getinfo(name).compress_type != ZIP_STORED for name in (TAR, KEY)):
                raise NotAnArchive
            with both.open(KEY) as part:
                key = decrypt_key(part.read(_KEY_FILE_BYTES_MAX + 1), passphrase)
            with both.open(TAR) as part:
                return read_archive(
                    decrypting_reader(key, cast("BinaryIO", part)), device, progress
                )
    except DecryptionFailed:
        raise DamagedArchive(name=TAR) from None
    except (BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError, ValueError):
        raise NotAnArchive from None


def _write_to_folder(place: Path, key: Secret, device: Device, progress: Progress) -> ExportReport:
    made: list[ExportReport] = []

    def fill(file: object) -> None:
        with encrypting_writer(key, file) as sealed:  # type: ignore[arg-type]
            made.append(write_archive(sealed, device, progress))

    write_private_with(place, fill)
    return made[0]


def _key_file(folder: Path) -> bytes:
    try:
        with (folder / KEY).open("rb") as file:
            return file.read(_KEY_FILE_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ArchiveNotFound(path=folder) from None
