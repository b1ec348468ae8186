"""Tests of the tar and the index of an archive: agreement with tarfile, refusals and limits."""

import io
import tarfile
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.archive.archive_format import (
    ArchiveIndex,
    ArchivePart,
    BadArchive,
    TooMuchForArchive,
    read_index,
    tar_end,
    tar_entries,
    tar_header,
    tar_padding,
    write_index,
)
from entrenous.base.identifiers import PersonId
from entrenous.crypto.hashing import sha256

OTHER_ENTRY_TYPES = (
    *(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_SPARSE),
)
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
FILE_CONTENTS = {
    "index.json": b"{}",
    "ledger/" + "a" * 32: b"x" * 513,
    "files/" + "0" * 32: b"",
    "c/d/e": b"y" * 1024,
}
entry_names = st.from_regex(r"(ledger|files)/[a-z0-9-]{1,80}", fullmatch=True)


def tar_of(files: dict[str, bytes]) -> bytes:
    parts = [
        tar_header(name, len(data)) + data + tar_padding(len(data)) for name, data in files.items()
    ]
    return b"".join(parts) + tar_end()


def read_tar(tar: bytes) -> dict[str, bytes]:
    return {entry.name: entry.content.read() for entry in tar_entries(io.BytesIO(tar))}


def test_our_tar_is_read_by_tarfile() -> None:
    names = []
    with tarfile.open(fileobj=io.BytesIO(tar_of(FILE_CONTENTS)), mode="r|") as tar:
        for member in tar:
            names.append(member.name)
            file = tar.extractfile(member)
            assert file is not None
            assert file.read() == FILE_CONTENTS[member.name]
            assert (member.mode, member.uid, member.mtime) == (0o600, 0, 0)
    assert names == list(FILE_CONTENTS)


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_tar_of_tarfile_is_read_by_our_reader(tar_format: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        folder = tarfile.TarInfo("ledger")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in FILE_CONTENTS.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert read_tar(out.getvalue()) == FILE_CONTENTS


def test_unread_entries_are_skipped() -> None:
    assert [entry.name for entry in tar_entries(io.BytesIO(tar_of(FILE_CONTENTS)))] == list(
        FILE_CONTENTS
    )


def test_a_tar_that_ends_too_early_is_refused() -> None:
    whole = tar_of(FILE_CONTENTS)
    for end in range(0, len(whole) - len(tar_end()), 256):
        with pytest.raises(BadArchive):
            read_tar(whole[:end])


@pytest.mark.parametrize("entry_type", OTHER_ENTRY_TYPES)
def test_entries_other_than_files_are_refused(entry_type: bytes) -> None:
    info = tarfile.TarInfo("ledger/a")
    info.type, info.linkname, info.size = entry_type, "b", 10
    with pytest.raises(BadArchive):
        read_tar(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))


@given(st.binary(min_size=512, max_size=512), st.integers(0, 511), st.integers(0, 255))
def test_invalid_tar_headers_are_refused(block: bytes, place: int, byte: int) -> None:
    changed = bytearray(tar_header("ledger/a", 3))
    changed[place] ^= byte or 1
    for untrusted in (block, bytes(changed)):
        if any(untrusted):
            with pytest.raises(BadArchive):
                read_tar(untrusted + bytes(512))


@given(
    st.dictionaries(entry_names, st.binary(max_size=50), max_size=5),
    st.none() | st.binary(min_size=32, max_size=32),
)
def test_index_round_trips(files: dict[str, bytes], person: bytes | None) -> None:
    ordered = sorted(files, key=lambda name: name.startswith("files/"))
    parts = tuple(ArchivePart(name, len(files[name]), sha256(files[name])) for name in ordered)
    index = ArchiveIndex(NOON, None if person is None else PersonId(person), parts)
    assert read_index(write_index(index)) == index


LEDGER_PART = ArchivePart("ledger/a", 1, bytes(32))
FILE_PART = ArchivePart("files/a", 1, bytes(32))


@pytest.mark.parametrize(
    "parts",
    [
        (LEDGER_PART, LEDGER_PART),
        (FILE_PART, LEDGER_PART),
        (ArchivePart("../a", 1, bytes(32)),),
        (ArchivePart("ledger/../a", 1, bytes(32)),),
        (ArchivePart("/ledger/a", 1, bytes(32)),),
        (ArchivePart("ledger/.a", 1, bytes(32)),),
        (ArchivePart("ledger", 1, bytes(32)),),
        (ArchivePart("a/b/c/d", 1, bytes(32)),),
        (ArchivePart("ledger/a b", 1, bytes(32)),),
        (ArchivePart("ledger/a\n", 1, bytes(32)),),
        (ArchivePart("ledger/" + "a" * 81, 1, bytes(32)),),
        (ArchivePart("ledger/a", -1, bytes(32)),),
        (ArchivePart("ledger/a", 1, bytes(31)),),
    ],
)
def test_invalid_index_is_never_written(parts: tuple[ArchivePart, ...]) -> None:
    with pytest.raises(ValueError, match="specification"):
        write_index(ArchiveIndex(NOON, None, parts))


@pytest.mark.parametrize(
    ("name", "max_size"), [("ledger/a", 128 * 1024**2), ("files/a", 8 * 1024**3 - 1)]
)
def test_oversized_part_is_never_written(name: str, max_size: int) -> None:
    write_index(ArchiveIndex(NOON, None, (ArchivePart(name, max_size, bytes(32)),)))
    with pytest.raises(TooMuchForArchive):
        write_index(ArchiveIndex(NOON, None, (ArchivePart(name, max_size + 1, bytes(32)),)))


@given(st.binary(max_size=200))
def test_arbitrary_indexes_are_refused(untrusted: bytes) -> None:
    with pytest.raises(BadArchive):
        read_index(untrusted)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("archive/1", "archive/2"),
        ('"made_at":', '"made_on":'),
        ('"person":null', '"person":"AB"'),
        ('"person":null', '"person":null,"more":1'),
        ("1764072000", "-1"),
        ("1764072000", "999999999999"),
        ("00", "AA"),
    ],
)
def test_index_with_an_unspecified_field_or_value_is_refused(old: str, new: str) -> None:
    made_at = datetime.fromtimestamp(1764072000, UTC)
    text = write_index(ArchiveIndex(made_at, None, (LEDGER_PART,))).decode()
    assert old in text
    with pytest.raises(BadArchive):
        read_index(text.replace(old, new).encode())
