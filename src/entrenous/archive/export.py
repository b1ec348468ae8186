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
from entrenous.archive.write_archive import ReportProgress, write_archive
from entrenous.base.files import (
    ensure_empty_folder,
    translate_folder_errors,
    write_private,
    write_private_with,
)
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import PASSPHRASE_FILE_RANDOM_BYTES
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.device import Device
from entrenous.device.store.vault_folder import refuse_weak_passphrase

TAR_FILE_NAME: Final = "archive.tar.age"
KEY_FILE_NAME: Final = "archive.key.age"
_KEY_BYTES: Final = 32
_KEY_FILE_BYTES_MAX: Final = 128 * 1024


def export_archive(
    out: Path, passphrase: Secret, device: Device, progress: ReportProgress
) -> ExportReport:
    """Write this device's archive into a new or empty folder.

    Raises:
        WeakPassphrase, NotEmpty, UnusableFolder, DiskFull, BadRecord: no archive was made.
        TooMuchForArchive: no archive was made, since no device could read it.
    """
    refuse_weak_passphrase(passphrase)
    key = Secret(device.dice.token(_KEY_BYTES))
    with translate_folder_errors(out):
        ensure_empty_folder(out)
        try:
            written = _write_to_folder(out / TAR_FILE_NAME, key, device, progress)
            noise = device.dice.token(PASSPHRASE_FILE_RANDOM_BYTES)
            write_private(out / KEY_FILE_NAME, encrypt_key(key, passphrase, noise))
        except BaseException:
            (out / TAR_FILE_NAME).unlink(missing_ok=True)
            raise
    return written


def import_archive(
    folder: Path, passphrase: Secret, device: Device, progress: ReportProgress
) -> ImportReport:
    """Import what is in an archive and not yet on this device.

    Raises:
        ArchiveNotFound, WrongArchivePassphrase, BadArchive, DamagedArchive, DiskFull: nothing was
            changed.
    """
    with translate_folder_errors(folder):
        key = decrypt_key(_key_file(folder), passphrase)
        try:
            with (folder / TAR_FILE_NAME).open("rb") as untrusted_file:
                return read_archive(decrypting_reader(key, untrusted_file), device, progress)
        except DecryptionFailed:
            raise DamagedArchive(name=TAR_FILE_NAME) from None
        except FileNotFoundError:
            raise ArchiveNotFound(path=folder) from None


def export_to_file(
    path: Path, passphrase: Secret, device: Device, progress: ReportProgress
) -> ExportReport:
    """Write this device's archive into one ZIP file, for a browser to save.

    The ZIP contains the encrypted archive and its key file.

    Raises WeakPassphrase, DiskFull, BadRecord, TooMuchForArchive.
    """
    refuse_weak_passphrase(passphrase)
    key = Secret(device.dice.token(_KEY_BYTES))
    reports: list[ExportReport] = []

    def write_zip(file: BinaryIO) -> None:
        with ZipFile(file, "w", ZIP_STORED) as zip_file:
            with (
                zip_file.open(ZipInfo(TAR_FILE_NAME), "w", force_zip64=True) as part,
                encrypting_writer(key, cast("BinaryIO", part)) as sealed,
            ):
                reports.append(write_archive(sealed, device, progress))
            noise = device.dice.token(PASSPHRASE_FILE_RANDOM_BYTES)
            zip_file.writestr(ZipInfo(KEY_FILE_NAME), encrypt_key(key, passphrase, noise))

    with translate_folder_errors(path.parent):
        write_private_with(path, write_zip)
    return reports[0]


def import_from_file(
    untrusted_file: BinaryIO, passphrase: Secret, device: Device, progress: ReportProgress
) -> ImportReport:
    """Import an archive in one file, as :func:`export_to_file` makes it.

    Raises:
        NotAnArchive, WrongArchivePassphrase, BadArchive, DamagedArchive, DiskFull: nothing was
            changed.
    """
    try:
        with ZipFile(untrusted_file) as zip_file:
            if any(
                zip_file.getinfo(name).compress_type != ZIP_STORED
                for name in (TAR_FILE_NAME, KEY_FILE_NAME)
            ):
                raise NotAnArchive
            with zip_file.open(KEY_FILE_NAME) as part:
                key = decrypt_key(part.read(_KEY_FILE_BYTES_MAX + 1), passphrase)
            with zip_file.open(TAR_FILE_NAME) as part:
                return read_archive(
                    decrypting_reader(key, cast("BinaryIO", part)), device, progress
                )
    except DecryptionFailed:
        raise DamagedArchive(name=TAR_FILE_NAME) from None
    except (BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError, ValueError):
        raise NotAnArchive from None


def _write_to_folder(
    path: Path, key: Secret, device: Device, progress: ReportProgress
) -> ExportReport:
    reports: list[ExportReport] = []

    def write_tar(file: object) -> None:
        with encrypting_writer(key, file) as sealed:  # type: ignore[arg-type]
            reports.append(write_archive(sealed, device, progress))

    write_private_with(path, write_tar)
    return reports[0]


def _key_file(folder: Path) -> bytes:
    try:
        with (folder / KEY_FILE_NAME).open("rb") as file:
            return file.read(_KEY_FILE_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ArchiveNotFound(path=folder) from None
