"""Tests of writing and reading evidence manifests and times, and of refusing invalid ones."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.respond.manifest_format import (
    BadManifest,
    EvidenceManifest,
    ManifestItem,
    read_manifest,
    write_manifest,
)
from entrenous.respond.nouns import EvidenceLevel
from entrenous.wire.encodings import read_time, write_time

hashes = st.binary(min_size=32, max_size=32)
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone
items = st.builds(ManifestItem, st.integers(1, 999), st.sampled_from(EvidenceLevel), times, hashes)
manifests = st.builds(EvidenceManifest, times, hashes, st.lists(items, max_size=4).map(tuple))
MANIFEST = EvidenceManifest(
    datetime(2026, 11, 25, 13, 0, tzinfo=UTC),
    b"\x01" * 32,
    (ManifestItem(1, EvidenceLevel.A1, datetime(2026, 11, 25, 12, 0, tzinfo=UTC), b"\x02" * 32),),
)


@given(manifests)
def test_written_manifest_is_read_back(manifest: EvidenceManifest) -> None:
    assert read_manifest(write_manifest(manifest)) == manifest


def test_manifest_bytes_match_the_specification() -> None:
    assert write_manifest(MANIFEST) == (
        b'{"custody_head":"' + b"01" * 32 + b'","items":[{"added_at":"2026-11-25T12:00:00.000000Z",'
        b'"item":1,"level":"A1","salted_sha256":"' + b"02" * 32 + b'"}],'
        b'"schema":"entrenous/evidence-manifest/1","written_at":"2026-11-25T13:00:00.000000Z"}'
    )


@given(manifests, st.data())
def test_changed_byte_never_gives_the_same_manifest(
    manifest: EvidenceManifest, data: st.DataObject
) -> None:
    whole = write_manifest(manifest)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    try:
        assert read_manifest(changed) != manifest
    except BadManifest:
        return


@given(st.binary(max_size=80))
def test_random_bytes_are_no_manifest(data: bytes) -> None:
    with pytest.raises(BadManifest):
        read_manifest(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "entrenous/evidence-manifest/2"),
        ("written_at", "2026-11-25T13:00:00Z"),
        ("written_at", "2026-02-30T13:00:00.000000Z"),
        ("written_at", 5),
        ("custody_head", "AB" * 32),
        ("custody_head", "ab" * 31),
        ("custody_head", None),
        ("items", {}),
        ("items", [{}]),
        ("items", [1]),
        ("more", 1),
    ],
)
def test_invalid_manifest_field_is_refused(field: str, value: object) -> None:
    plain = {**json.loads(write_manifest(MANIFEST)), field: value}
    changed = json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(BadManifest):
        read_manifest(changed)


@pytest.mark.parametrize(
    ("field", "value"), [("item", "1"), ("item", True), ("level", "A9"), ("salted_sha256", "zz")]
)
def test_invalid_manifest_item_is_refused(field: str, value: object) -> None:
    plain = json.loads(write_manifest(MANIFEST))
    plain["items"][0][field] = value
    changed = json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(BadManifest):
        read_manifest(changed)


@given(times)
def test_written_time_is_read_back(time: datetime) -> None:
    assert read_time(write_time(time)) == time


def test_time_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="UTC"):
        write_time(MANIFEST.written_at.replace(tzinfo=None))
