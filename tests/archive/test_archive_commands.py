"""``entrenous archive``: export, import into another home folder, and errors."""

import errno
import json
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from entrenous.archive.export import KEY_FILE_NAME, TAR_FILE_NAME, count_in_words
from entrenous.base.identifiers import BlobId
from entrenous.cli import run
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY, EXIT_YES
from tests.vaults import make_vaults_open_quickly
from tests.village.world import photo

pytestmark = pytest.mark.slow

PASSPHRASE, ARCHIVE_PASSPHRASE = "four or five unrelated words", "words of the archive"


@pytest.fixture(autouse=True)
def make_vaults_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_vaults_open_quickly(monkeypatch)


def use_home(folder: Path, name: str, patch: pytest.MonkeyPatch) -> None:
    """Let later commands use the device in ``folder / name``; set it up if it is missing."""
    patch.setenv("ENTRENOUS_HOME", str(folder / name))
    patch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    if not (folder / name).exists():
        assert run(["setup", "--name", name, "--offline"], {}) == EXIT_YES


def run_archive(*arguments: str, passphrase: str = ARCHIVE_PASSPHRASE) -> int:
    """Run an archive command that reads the archive's passphrase from a pipe; return its status."""
    source, sink = os.pipe()
    os.write(sink, passphrase.encode() + b"\n")
    os.close(sink)
    try:
        return run(["archive", *arguments, "--archive-passphrase-fd", str(source)], {})
    finally:
        os.close(source)


@pytest.fixture
def exported_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mark a picture on a device, and export the device's archive with a cheap key derivation."""
    monkeypatch.setattr("entrenous.archive.archive_format.SCRYPT_WORK_FACTOR", 1)
    use_home(tmp_path, "ana", monkeypatch)
    (tmp_path / "beach.jpg").write_bytes(photo(width_px=160))
    command = ["mark", str(tmp_path / "beach.jpg"), "--out", str(tmp_path / "out"), "--to", "ben"]
    assert run(command, {}) == EXIT_YES
    assert run_archive("export", "--out", str(tmp_path / "archive")) == EXIT_YES
    return tmp_path / "archive"


def test_export_and_import_between_two_homes(
    exported_archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use_home(tmp_path, "anew", monkeypatch)
    capsys.readouterr()
    assert run_archive("import", str(exported_archive), "--json") == EXIT_YES
    report = json.loads(capsys.readouterr().out)
    assert (report["schema"], report["sent"]) == ("entrenous/archive-import/1", 1)
    (copy,) = (tmp_path / "out").iterdir()
    assert run(["trace", str(copy), "--json"], {}) == EXIT_YES
    assert json.loads(capsys.readouterr().out)["named"] == ["ben"]
    assert run_archive("import", str(exported_archive)) == EXIT_YES
    assert "The archive contains nothing that is new here." in capsys.readouterr().out


def test_file_left_by_an_import_on_a_full_disk_is_deleted_by_the_next_command(
    exported_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import fails after it has written a file, which the next command deletes."""
    use_home(tmp_path, "anew", monkeypatch)
    files = tmp_path / "anew" / "files"
    store_file_as = SqlcipherVault.store_file_as

    def store_and_fail(
        vault: SqlcipherVault, blob: BlobId, reader: BinaryIO, *, sealed: bool
    ) -> bool:
        store_file_as(vault, blob, reader, sealed=sealed)
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(SqlcipherVault, "store_file_as", store_and_fail)
        assert run_archive("import", str(exported_archive)) == EXIT_STATUS_BY_FAMILY["unreachable"]
    assert run(["sent", "--json"], {}) == EXIT_YES
    assert list(files.iterdir()) == []
    assert run_archive("import", str(exported_archive)) == EXIT_YES
    assert len(list(files.iterdir())) == 1


def test_failed_import_stores_no_file(
    exported_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_home(tmp_path, "anew", monkeypatch)
    assert (
        run_archive("import", str(exported_archive), passphrase="other words here")
        == EXIT_STATUS_BY_FAMILY["refused"]
    )
    assert run_archive("import", str(tmp_path)) == EXIT_STATUS_BY_FAMILY["not-found"]
    assert run_archive("import", str(tmp_path / "beach.jpg")) == EXIT_STATUS_BY_FAMILY["not-found"]
    whole = (exported_archive / TAR_FILE_NAME).read_bytes()
    for changed in (whole[:-1], b"", whole + b"\0"):
        (exported_archive / TAR_FILE_NAME).write_bytes(changed)
        assert run_archive("import", str(exported_archive)) == EXIT_STATUS_BY_FAMILY["unproven"]
    (exported_archive / TAR_FILE_NAME).unlink()
    assert run_archive("import", str(exported_archive)) == EXIT_STATUS_BY_FAMILY["not-found"]
    assert list((tmp_path / "anew" / "files").iterdir()) == []


def test_refused_export_writes_nothing(exported_archive: Path) -> None:
    before = {file.name: file.read_bytes() for file in exported_archive.iterdir()}
    assert set(before) == {KEY_FILE_NAME, TAR_FILE_NAME}
    assert run_archive("export", "--out", str(exported_archive)) == EXIT_STATUS_BY_FAMILY["refused"]
    assert {file.name: file.read_bytes() for file in exported_archive.iterdir()} == before
    assert (
        run_archive("export", "--out", str(exported_archive / "new"), passphrase="short")
        == EXIT_STATUS_BY_FAMILY["refused"]
    )
    assert not (exported_archive / "new").exists()


@pytest.mark.parametrize(
    ("name", "count", "text"),
    [("people", 1, "1 person"), ("traces", 1, "1 trace"), ("traces", 2, "2 traces")],
)
def test_counts_are_worded_in_singular_or_plural(name: str, count: int, text: str) -> None:
    assert count_in_words(name, count) == text


@pytest.mark.usefixtures("exported_archive")
def test_export_and_import_report_what_is_left_out_of_cases_under_18(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    assert run(["case", "open", "--adults", "--json"], {}) == EXIT_YES
    name = json.loads(capsys.readouterr().out)["case"]
    assert run(["case", "add", name, str(tmp_path / "beach.jpg")], {}) == EXIT_YES
    assert run_archive("export", "--out", str(tmp_path / "before")) == EXIT_YES
    assert run(["case", "about", name, "--under-18"], {}) == EXIT_STATUS_BY_FAMILY["refused"]
    capsys.readouterr()
    assert run_archive("export", "--out", str(tmp_path / "after")) == EXIT_YES
    assert "1 file of cases in which somebody was, or may have been," in capsys.readouterr().err
    assert run(["case", "erase", name, "--yes"], {}) == EXIT_YES
    for archive_name in ("before", "after"):
        assert run_archive("import", str(tmp_path / archive_name)) == EXIT_YES
        assert f"{name} was left out: you erased it here" in capsys.readouterr().err
        assert run_archive("import", str(tmp_path / archive_name), "--json") == EXIT_YES
        assert json.loads(capsys.readouterr().out)["erased_cases"] == [name]
    use_home(tmp_path, "anew", monkeypatch)
    assert run_archive("import", str(tmp_path / "after")) == EXIT_YES
    assert "Imported: 1 sent, 1 case." in capsys.readouterr().out
