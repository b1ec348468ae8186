"""Evidence manifests in canonical JSON, which a stamp authority timestamps (docs/spec/case.md
section 3).

A manifest does not reveal the evidence. It contains only a commitment to each item: the SHA-256
over a random salt of 32 bytes and the item's bytes. So nobody can test whether a picture that they
have is one of the items.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from entrenous.base.errors import Malformed
from entrenous.respond.nouns import SHA256_BYTES, EvidenceLevel
from entrenous.wire.encodings import canonical_json, read_canonical_json, read_time, write_time


@dataclass(frozen=True, slots=True)
class ManifestItem:
    """One item of a manifest: ``commitment`` is SHA-256 over salt and bytes."""

    number: int
    level: EvidenceLevel
    added_at: datetime
    commitment: bytes


@dataclass(frozen=True, slots=True)
class EvidenceManifest:
    """The data that is stamped: a salted hash of every item, and the custody chain's head."""

    written_at: datetime
    custody_head: bytes
    items: tuple[ManifestItem, ...]


class BadManifest(Malformed):
    """
    This cannot be read as an evidence manifest, so nothing was checked. Either Entrenous did not
    write it, or it was changed afterwards, or another version of Entrenous wrote it. Use the
    exported file unchanged, and the version that wrote it.
    """


MANIFEST_SCHEMA: Final = "entrenous/evidence-manifest/1"
_MANIFEST_FIELDS: Final = {"schema", "written_at", "custody_head", "items"}
_MANIFEST_ITEM_FIELDS: Final = {"item", "level", "added_at", "salted_sha256"}


def write_manifest(manifest: EvidenceManifest) -> bytes:
    """Encode a manifest; the encoding is unique."""
    return canonical_json(
        {
            "schema": MANIFEST_SCHEMA,
            "written_at": write_time(manifest.written_at),
            "custody_head": manifest.custody_head.hex(),
            "items": [_write_item(item) for item in manifest.items],
        }
    )


def read_manifest(untrusted_data: bytes) -> EvidenceManifest:
    """Decode what :func:`write_manifest` wrote.

    Raises BadManifest for any other bytes, even if they differ only in white space or order.
    """
    try:
        plain = _parse_map(read_canonical_json(untrusted_data), _MANIFEST_FIELDS)
        if plain["schema"] != MANIFEST_SCHEMA:
            raise BadManifest
        return EvidenceManifest(
            read_time(plain["written_at"]),
            _parse_hash(plain["custody_head"]),
            tuple(_read_item(item) for item in _parse_list(plain["items"])),
        )
    except ValueError:
        raise BadManifest from None


def _write_item(item: ManifestItem) -> dict[str, object]:
    return {
        "item": item.number,
        "level": item.level.value,
        "added_at": write_time(item.added_at),
        "salted_sha256": item.commitment.hex(),
    }


def _read_item(untrusted: object) -> ManifestItem:
    plain = _parse_map(untrusted, _MANIFEST_ITEM_FIELDS)
    if type(plain["item"]) is not int:
        raise ValueError("an item has a number")
    return ManifestItem(
        plain["item"],
        EvidenceLevel(plain["level"]),
        read_time(plain["added_at"]),
        _parse_hash(plain["salted_sha256"]),
    )


def _parse_map(untrusted: object, names: set[str]) -> dict[str, Any]:
    if not isinstance(untrusted, dict) or set(untrusted) != names:
        raise ValueError("fields are missing or too many")
    return untrusted


def _parse_list(untrusted: object) -> list[object]:
    if not isinstance(untrusted, list):
        raise ValueError("a list is needed")  # noqa: TRY004 -- the caller catches ValueError
    return untrusted


def _parse_hash(untrusted: object) -> bytes:
    if not isinstance(untrusted, str) or len(untrusted) != 2 * SHA256_BYTES:
        raise ValueError("a hash has 64 hexadecimal digits")
    value = bytes.fromhex(untrusted)
    if value.hex() != untrusted:
        raise ValueError("a hash has 64 lower-case hexadecimal digits")
    return value
