"""Tests of an index's base files: round trips, file modes, damage, links and missing files."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenous.fingerprint.linear_scan import ScanIndex, hashes_as_words
from entrenous.fingerprint.multi_index import IndexSegment, substring_plan
from entrenous.stop.index.base_file import DamagedBase, file_identity, read_base, write_base
from entrenous.stop.nouns import HashEntry
from tests.stop.index.index_banks import random_hashes

PART_HASHES = random_hashes(40, 2)
SECTION_COUNT = 8


@pytest.fixture(scope="module")
def base_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a base file with tables for hashes of whole pictures and without tables for parts."""
    path = tmp_path_factory.mktemp("index") / "base"
    words = hashes_as_words(random_hashes(50, 1))
    whole = IndexSegment.built(substring_plan(16), np.arange(1, 51), words)
    write_base(path, whole, scan_index_of(PART_HASHES, 51))
    return path


def scan_index_of(hashes: tuple[bytes, ...], first_entry: int) -> ScanIndex:
    entries = range(first_entry, first_entry + len(hashes))
    return ScanIndex.empty().with_added(entries, hashes)


def section_ends(data: bytes) -> list[int]:
    """Return the offsets at which the header and each section should end, in bytes."""
    ends = [128]
    for count, cells in ((50, (1 << 20) + 1), (40, 0)):
        rows = 16 * count if cells else 0
        for size in (32 * count, 8 * count, 4 * cells, 4 * rows):
            ends.append(ends[-1] + size + -size % 64)
    assert ends[-1] == len(data)
    return ends


def test_base_survives_a_round_trip(base_file: Path) -> None:
    base = read_base(base_file)
    assert isinstance(base.whole, IndexSegment)
    assert isinstance(base.parts, ScanIndex)
    assert (base.count, base.highest_entry, base.size_bytes) == (90, 90, base_file.stat().st_size)
    assert base.last_entry == HashEntry(90, PART_HASHES[-1], part=True)
    assert base.file == file_identity(base_file)
    for kind, hashes, first in (
        (base.whole, random_hashes(50, 1), 1),
        (base.parts, PART_HASHES, 51),
    ):
        found = kind.pairs(hashes_as_words(hashes), 31)
        assert found.entry.tolist() == list(range(first, first + len(hashes)))
        assert found.distance.tolist() == [0] * len(hashes)


def test_base_file_is_private(base_file: Path) -> None:
    assert base_file.stat().st_mode & 0o777 == 0o600


def test_mapped_base_is_read_only(base_file: Path) -> None:
    base = read_base(base_file)
    assert isinstance(base.whole, IndexSegment)
    with pytest.raises(ValueError, match="read-only"):
        base.whole.words[0] = 0


@pytest.mark.parametrize("boundary", range(SECTION_COUNT + 1))
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_truncation_or_extension_near_any_section_boundary_is_detected(
    base_file: Path, tmp_path: Path, boundary: int, offset: int
) -> None:
    data = base_file.read_bytes()
    cut = section_ends(data)[boundary] + offset
    changed = data[:cut] if cut < len(data) else data + b"\x00"
    (tmp_path / "base").write_bytes(changed)
    with pytest.raises(DamagedBase):
        read_base(tmp_path / "base")


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bit_is_detected(base_file: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(base_file.read_bytes())
    ends = section_ends(bytes(whole))
    section = data.draw(
        st.integers(0, SECTION_COUNT).filter(lambda at: at == 0 or _section_size(ends, at))
    )
    offset = data.draw(st.integers(ends[section - 1] if section else 0, ends[section] - 1))
    whole[offset] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "base"
    path.write_bytes(whole)
    with pytest.raises(DamagedBase):
        read_base(path)


def _section_size(ends: list[int], section: int) -> int:
    return ends[section] - ends[section - 1]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(tmp_path: Path, random_bytes: bytes) -> None:
    (tmp_path / "base").write_bytes(random_bytes)
    with pytest.raises(DamagedBase):
        read_base(tmp_path / "base")


@pytest.mark.parametrize(
    ("offset", "struct_format", "value"),
    [(8, "<I", 2), (0, "<8s", b"ENTRINDY"), (16, "<Q", 2**60), (24, "<I", 11), (24, "<I", 12_345)],
    ids=["version", "magic", "count", "substrings", "no such plan"],
)
def test_wrong_header_with_a_valid_checksum_is_refused(
    base_file: Path, tmp_path: Path, offset: int, struct_format: str, value: object
) -> None:
    data = bytearray(base_file.read_bytes())
    struct.pack_into(struct_format, data, offset, value)
    struct.pack_into("<I", data, 124, zlib.crc32(data[:124]))
    (tmp_path / "base").write_bytes(data)
    with pytest.raises(DamagedBase):
        read_base(tmp_path / "base")


def test_empty_base_survives_a_round_trip(tmp_path: Path) -> None:
    write_base(tmp_path / "base", ScanIndex.empty(), ScanIndex.empty())
    base = read_base(tmp_path / "base")
    assert (base.count, base.highest_entry, base.last_entry) == (0, 0, None)


def test_symbolic_link_is_not_followed(base_file: Path, tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(base_file)
    with pytest.raises(OSError, match="symbolic"):
        read_base(tmp_path / "base")


def test_missing_base_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_base(tmp_path / "base")
    assert file_identity(tmp_path / "base") is None
