"""Write an encrypted archive into a folder, import one, and say in words what was done."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
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
from entrenous.archive.read_archive import import_opened_archive
from entrenous.archive.write_archive import ReportBytesDone, write_archive_tar
from entrenous.base.files import (
    ensure_empty_folder,
    translate_folder_errors,
    write_private_file,
    write_private_file_with,
)
from entrenous.base.identifiers import PersonId
from entrenous.base.language import plural, translated
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import PASSPHRASE_FILE_RANDOM_BYTES
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.device import Device
from entrenous.device.store.vault_folder import refuse_short_passphrase

TAR_FILE_NAME: Final = "archive.tar.age"
KEY_FILE_NAME: Final = "archive.key.age"
_KEY_BYTES: Final = 32
_KEY_FILE_BYTES_MAX: Final = 128 * 1024


def export_archive(
    out: Path, passphrase: Secret, device: Device, progress: ReportBytesDone
) -> ExportReport:
    """Write this device's archive into a new or empty folder.

    Raises:
        WeakPassphrase, NotEmpty, UnusableFolder, DiskFull, BadRecord: no archive was made.
        TooMuchForArchive: no archive was made, since no device could read it.
    """
    refuse_short_passphrase(passphrase)
    key = Secret(device.random_source.token(_KEY_BYTES))
    with translate_folder_errors(out):
        ensure_empty_folder(out)
        try:
            written = _write_encrypted_tar(out / TAR_FILE_NAME, key, device, progress)
            noise = device.random_source.token(PASSPHRASE_FILE_RANDOM_BYTES)
            write_private_file(out / KEY_FILE_NAME, encrypt_key(key, passphrase, noise))
        except BaseException:
            (out / TAR_FILE_NAME).unlink(missing_ok=True)
            raise
    return written


def import_archive(
    folder: Path, passphrase: Secret, device: Device, progress: ReportBytesDone
) -> ImportReport:
    """Import what is in an archive and not yet on this device.

    Raises:
        ArchiveNotFound, WrongArchivePassphrase, BadArchive, DamagedArchive, DiskFull: nothing was
            changed.
    """
    with translate_folder_errors(folder):
        key = decrypt_key(_read_key_file(folder), passphrase)
        try:
            with (folder / TAR_FILE_NAME).open("rb") as untrusted_file:
                return import_opened_archive(
                    decrypting_reader(key, untrusted_file), device, progress
                )
        except DecryptionFailed:
            raise DamagedArchive(name=TAR_FILE_NAME) from None
        except FileNotFoundError:
            raise ArchiveNotFound(path=folder) from None


def export_archive_to_zip(
    path: Path, passphrase: Secret, device: Device, progress: ReportBytesDone
) -> ExportReport:
    """Write this device's archive into one ZIP file, for a browser to save.

    The ZIP contains the encrypted archive and its key file.

    Raises WeakPassphrase, DiskFull, BadRecord, TooMuchForArchive.
    """
    refuse_short_passphrase(passphrase)
    key = Secret(device.random_source.token(_KEY_BYTES))
    reports: list[ExportReport] = []

    def write_zip(file: BinaryIO) -> None:
        with ZipFile(file, "w", ZIP_STORED) as zip_file:
            with (
                zip_file.open(ZipInfo(TAR_FILE_NAME), "w", force_zip64=True) as part,
                encrypting_writer(key, cast("BinaryIO", part)) as sealed,
            ):
                reports.append(write_archive_tar(sealed, device, progress))
            noise = device.random_source.token(PASSPHRASE_FILE_RANDOM_BYTES)
            zip_file.writestr(ZipInfo(KEY_FILE_NAME), encrypt_key(key, passphrase, noise))

    with translate_folder_errors(path.parent):
        write_private_file_with(path, write_zip)
    return reports[0]


def import_archive_from_zip(
    untrusted_file: BinaryIO, passphrase: Secret, device: Device, progress: ReportBytesDone
) -> ImportReport:
    """Import an archive in one file, as :func:`export_archive_to_zip` makes it.

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
                return import_opened_archive(
                    decrypting_reader(key, cast("BinaryIO", part)), device, progress
                )
    except DecryptionFailed:
        raise DamagedArchive(name=TAR_FILE_NAME) from None
    except (BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError, ValueError):
        raise NotAnArchive from None


def _write_encrypted_tar(
    path: Path, key: Secret, device: Device, progress: ReportBytesDone
) -> ExportReport:
    reports: list[ExportReport] = []

    def write_tar(file: object) -> None:
        with encrypting_writer(key, file) as sealed:  # type: ignore[arg-type]
            reports.append(write_archive_tar(sealed, device, progress))

    write_private_file_with(path, write_tar)
    return reports[0]


def _read_key_file(folder: Path) -> bytes:
    try:
        with (folder / KEY_FILE_NAME).open("rb") as file:
            return file.read(_KEY_FILE_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ArchiveNotFound(path=folder) from None


_COUNT_WORDING: Final[Mapping[str, Callable[[int], str]]] = MappingProxyType(
    {
        "people": lambda count: plural("{count} person", "{count} people", count),
        "circles": lambda count: plural("{count} circle", "{count} circles", count),
        "sent": lambda count: plural("{count} sent", "{count} sent", count),
        "received": lambda count: plural("{count} received", "{count} received", count),
        "traces": lambda count: plural("{count} trace", "{count} traces", count),
        "cases": lambda count: plural("{count} case", "{count} cases", count),
        "protections": lambda count: plural("{count} protection", "{count} protections", count),
    }
)


def count_in_words(name: str, count: int) -> str:
    """Return a count as text, given its name in the JSON answer."""
    return _COUNT_WORDING[name](count)


def counts_by_name(report: ImportReport) -> dict[str, int]:
    """Return the number of new items of each kind, by the names of the JSON answer."""
    return {name: getattr(report, name) for name in _COUNT_WORDING}


def describe_omissions(report: ExportReport) -> Iterator[str]:
    """Yield sentences that say what an export left out."""
    if report.unopened:
        yield plural(
            "{count} message is not in it, since it is still to be opened here.",
            "{count} messages are not in it, since they are still to be opened here.",
            report.unopened,
        )
    if report.left_of_cases:
        yield plural(
            "{count} file of cases in which somebody was, or may have been, under 18 stayed here. "
            "Where it was seen, and what you said, is in the archive.",
            "{count} files of cases in which somebody was, or may have been, under 18 stayed here. "
            "Where they were seen, and what you said, is in the archive.",
            report.left_of_cases,
        )
    if report.lost:
        yield plural(
            "{count} file could not be put into it: missing or damaged on this device.",
            "{count} files could not be put into it: missing or damaged on this device.",
            report.lost,
        )


def describe_import(report: ImportReport) -> Iterator[str]:
    """Yield sentences that say who made an archive, and what in it was new to this device."""
    if report.person is not None:
        yield translated("This archive was made by {person}.").format(
            person=_person_label(report.person, report.made_by)
        )
    if report.has_nothing_new:
        yield translated("The archive contains nothing that is new here.")
        return
    new = [count_in_words(name, count) for name, count in counts_by_name(report).items() if count]
    yield translated("Imported: {what}.").format(what=", ".join(new))


def describe_omitted_cases(report: ImportReport) -> Iterator[str]:
    """Yield sentences that say which cases were not imported, and why."""
    for name in report.other_cases:
        yield translated(
            "{name} was left out: there is already a different case with that name here."
        ).format(name=name)
    for name in report.erased_cases:
        yield translated(
            "{name} was left out: you erased it here, and somebody in it was, or may have been, "
            "under 18."
        ).format(name=name)


def _person_label(person: PersonId, known: str | None) -> str:
    """Describe the maker of an archive, as far as this device knows them.

    A new device does not know even the identity that its own owner had on earlier devices.
    """
    number = person.hex()[:16]
    spaced = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    name = known or translated("somebody this device does not know")
    return translated("{name} (person {number})").format(name=name, number=spaced)
