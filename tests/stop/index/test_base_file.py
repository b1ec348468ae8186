"""A base is read as it was written or not at all: truncation and flipped bits are detected."""

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
from tests.stop.index.index_banks import fresh

PARTS = fresh(40, 2)
SECTIONS = 8


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a base whose whole hashes have tables and whose part hashes have none."""
    path = tmp_path_factory.mktemp("index") / "base"
    words = hashes_as_words(fresh(50, 1))
    whole = IndexSegment.built(substring_plan(16), np.arange(1, 51), words)
    write_base(path, whole, scanned(PARTS, 51))
    return path


def scanned(hashes: tuple[bytes, ...], first: int) -> ScanIndex:
    return ScanIndex.empty().with_added(range(first, first + len(hashes)), hashes)


def boundaries(data: bytes) -> list[int]:
    """Return the offsets in bytes at which the header and each section end, by their format."""
    ends = [128]
    for count, cells in ((50, (1 << 20) + 1), (40, 0)):
        rows = 16 * count if cells else 0
        for size in (32 * count, 8 * count, 4 * cells, 4 * rows):
            ends.append(ends[-1] + size + -size % 64)
    assert ends[-1] == len(data)
    return ends


def test_base_survives_a_round_trip(written: Path) -> None:
    base = read_base(written)
    assert isinstance(base.whole, IndexSegment)
    assert isinstance(base.parts, ScanIndex)
    assert (base.count, base.highest_entry, base.size_bytes) == (90, 90, written.stat().st_size)
    assert base.last_entry == HashEntry(90, PARTS[-1], part=True)
    assert base.file == file_identity(written)
    for kind, hashes, first in ((base.whole, fresh(50, 1), 1), (base.parts, PARTS, 51)):
        found = kind.pairs(hashes_as_words(hashes), 31)
        assert found.entry.tolist() == list(range(first, first + len(hashes)))
        assert found.distance.tolist() == [0] * len(hashes)


def test_base_file_is_private(written: Path) -> None:
    assert written.stat().st_mode & 0o777 == 0o600


def test_mapped_base_is_read_only(written: Path) -> None:
    base = read_base(written)
    assert isinstance(base.whole, IndexSegment)
    with pytest.raises(ValueError, match="read-only"):
        base.whole.words[0] = 0


@pytest.mark.parametrize("boundary", range(SECTIONS + 1))
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_truncation_at_any_boundary_is_detected(
    written: Path, tmp_path: Path, boundary: int, offset: int
) -> None:
    data = written.read_bytes()
    cut = boundaries(data)[boundary] + offset
    if cut == len(data):
        return
    changed = data[:cut] if cut < len(data) else data + b"\x00"
    (tmp_path / "base").write_bytes(changed)
    with pytest.raises(DamagedBase):
        read_base(tmp_path / "base")


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bit_is_detected(written: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(written.read_bytes())
    ends = boundaries(bytes(whole))
    section = data.draw(
        st.integers(0, SECTIONS).filter(lambda at: at == 0 or _section_size(ends, at))
    )
    place = data.draw(st.integers(ends[section - 1] if section else 0, ends[section] - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "base"
    path.write_bytes(whole)
    with pytest.raises(DamagedBase):
        read_base(path)


def _section_size(ends: list[int], at: int) -> int:
    return ends[at] - ends[at - 1]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_random_bytes_are_no_base(tmp_path: Path, noise: bytes) -> None:
    (tmp_path / "base").write_bytes(noise)
    with pytest.raises(DamagedBase):
        read_base(tmp_path / "base")


@pytest.mark.parametrize(
    ("place", "form", "value"),
    [(8, "<I", 2), (0, "<8s", b"ENTRINDY"), (16, "<Q", 2**60), (24, "<I", 11), (24, "<I", 12_345)],
    ids=["version", "magic", "count", "substrings", "no such plan"],
)
def test_valid_header_with_wrong_content_is_refused(
    written: Path, tmp_path: Path, place: int, form: str, value: object
) -> None:
    data = bytearray(written.read_bytes())
    struct.pack_into(form, data, place, value)
    struct.pack_into("<I", data, 124, zlib.crc32(data[:124]))
    (tmp_path / "base").write_bytes(data)
    with pytest.raises(DamagedBase):
        read_base(tmp_path / "base")


def test_empty_base_survives_a_round_trip(tmp_path: Path) -> None:
    write_base(tmp_path / "base", ScanIndex.empty(), ScanIndex.empty())
    base = read_base(tmp_path / "base")
    assert (base.count, base.highest_entry, base.last_entry) == (0, 0, None)


def test_symbolic_link_is_not_followed(written: Path, tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(written)
    with pytest.raises(OSError, match="symbolic"):
        read_base(tmp_path / "base")


def test_missing_base_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_base(tmp_path / "base")
    assert file_identity(tmp_path / "base") is None
