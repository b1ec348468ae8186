"""Evidence manifests as canonical JSON: what gets stamped (docs/spec/case.md section 3).

Nothing in a manifest tells what the evidence is: each item is a commitment, SHA-256 over a random
salt of 32 bytes followed by the item's bytes, so a picture that somebody already has cannot be
looked for in it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from entrenous.craft.wire.canonical import canonical_json, read_canonical
from entrenous.model.evidence import (
    SHA256_BYTES,
    BadManifest,
    EvidenceManifest,
    Level,
    ManifestItem,
)

SCHEMA: Final = "entrenous/evidence-manifest/1"
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_FIELDS: Final = {"schema", "written_at", "custody_head", "items"}
_ITEM_FIELDS: Final = {"item", "level", "added_at", "salted_sha256"}


def write_manifest(manifest: EvidenceManifest) -> bytes:
    """The manifest's one byte form."""
    return canonical_json(
        {
            "schema": SCHEMA,
            "written_at": write_time(manifest.written_at),
            "custody_head": manifest.custody_head.hex(),
            "items": [_write_item(item) for item in manifest.items],
        }
    )


def read_manifest(untrusted_data: bytes) -> EvidenceManifest:
    """The manifest that :func:`write_manifest` wrote.

    Raises:
        BadManifest: any other bytes, even ones that differ only in blanks or order.
    """
    try:
        plain = _map(read_canonical(untrusted_data), _FIELDS)
        if plain["schema"] != SCHEMA:
            raise BadManifest
        return EvidenceManifest(
            read_time(plain["written_at"]),
            _hash(plain["custody_head"]),
            tuple(_read_item(item) for item in _list(plain["items"])),
        )
    except ValueError:
        raise BadManifest from None


def write_time(moment: datetime) -> str:
    """An aware UTC time with microseconds, e.g. ``2026-11-25T13:00:00.000000Z``."""
    if moment.utcoffset() != timedelta(0):
        raise ValueError("times are aware, in UTC")
    return moment.strftime(_TIME)


def read_time(untrusted_text: object) -> datetime:
    """The time that :func:`write_time` wrote; raises ValueError."""
    if not isinstance(untrusted_text, str):
        raise ValueError("a time is text")  # noqa: TRY004 -- one kind of failure for the caller
    moment = datetime.strptime(untrusted_text, _TIME).replace(tzinfo=UTC)
    if write_time(moment) != untrusted_text:
        raise ValueError("a time has one form")
    return moment


def _write_item(item: ManifestItem) -> dict[str, object]:
    return {
        "item": item.number,
        "level": item.level.value,
        "added_at": write_time(item.added_at),
        "salted_sha256": item.commitment.hex(),
    }


def _read_item(untrusted: object) -> ManifestItem:
    plain = _map(untrusted, _ITEM_FIELDS)
    if type(plain["item"]) is not int:
        raise ValueError("an item has a number")
    return ManifestItem(
        plain["item"],
        Level(plain["level"]),
        read_time(plain["added_at"]),
        _hash(plain["salted_sha256"]),
    )


def _map(untrusted: object, names: set[str]) -> dict[str, Any]:
    if not isinstance(untrusted, dict) or set(untrusted) != names:
        raise ValueError("fields are missing or too many")
    return untrusted


def _list(untrusted: object) -> list[object]:
    if not isinstance(untrusted, list):
        raise ValueError("a list is needed")  # noqa: TRY004 -- one kind of failure for the caller
    return untrusted


def _hash(untrusted: object) -> bytes:
    if not isinstance(untrusted, str) or len(untrusted) != 2 * SHA256_BYTES:
        raise ValueError("a hash has 64 hexadecimal digits")
    value = bytes.fromhex(untrusted)
    if value.hex() != untrusted:
        raise ValueError("a hash has 64 lower-case hexadecimal digits")
    return value
