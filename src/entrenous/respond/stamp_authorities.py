"""Known public timestamp authorities, and the root certificates that prove their stamps.

A root is never taken from the authority. It must be in the bundle of trusted certificates on this
device, and its SHA-256 must be the one in the table (facts/stamp-authorities.toml,
docs/spec/case.md section 3).
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from ssl import PEM_cert_to_DER_cert
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import asdict

from entrenous.base.environment import BadSetting, Settings
from entrenous.base.language import translated
from entrenous.crypto.hashing import sha256
from entrenous.respond.fact_tables import BadTable, read_table, shipped_table


@dataclass(frozen=True, slots=True)
class StampAuthority:
    """A public RFC 3161 authority. ``root_sha256`` is the SHA-256 of its root certificate's DER, in
    hex.
    """

    id: str
    name: str
    url: str
    root: str
    root_sha256: str
    policy: str
    limits: str
    source: str
    read_on: date
    verified: bool
    verified_by: str

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError("an authority has a web address")
        if len(self.root_sha256) != _SHA256_HEX_DIGITS or bytes.fromhex(self.root_sha256).hex() != (
            self.root_sha256
        ):
            raise ValueError("a root has a SHA-256 of 64 lower-case hexadecimal digits")


class _AuthorityRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    url: str
    root: str
    root_sha256: str
    source: str
    verified: bool
    verified_by: str
    policy: str = ""
    limits: str = ""
    read_on: date | None = None


class _AuthorityTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    authority: dict[str, _AuthorityRow]


_SHA256_HEX_DIGITS: Final = 64
_AUTHORITIES_TABLE_FILE: Final = "stamp-authorities.toml"
_PEM_END_LINE: Final = "-----END CERTIFICATE-----"


def read_stamp_authorities(table: bytes) -> tuple[StampAuthority, ...]:
    """Return the authorities in a table, in the order of the table; raises BadTable."""
    parsed = read_table(_AuthorityTable, table, _AUTHORITIES_TABLE_FILE)
    try:
        return tuple(
            _parse_authority(id_, row, parsed.read_on) for id_, row in parsed.authority.items()
        )
    except ValueError as why:
        raise BadTable(table=_AUTHORITIES_TABLE_FILE, entry=str(why)) from None


def known_stamp_authorities(settings: Settings) -> tuple[StampAuthority, ...]:
    """Return the authorities to ask, in order: the verified ones in this release or, if the
    settings name a file, all authorities in that file.

    Raises BadTable; BadSetting if that file cannot be read.
    """
    if settings.stamp_authorities is None:
        return tuple(
            one
            for one in read_stamp_authorities(shipped_table(_AUTHORITIES_TABLE_FILE))
            if one.verified
        )
    name = "ENTRENOUS_STAMP_AUTHORITIES"
    return read_stamp_authorities(_read_file_of_setting(settings.stamp_authorities, name))


def read_certificate_bundle(settings: Settings) -> bytes:
    """Return the trusted certificates in PEM: certifi's, or those in the file that the settings
    name.

    Raises BadSetting if that file cannot be read.
    """
    if settings.ca_bundle is None:
        import certifi  # noqa: PLC0415 - only a stamp needs it

        return Path(certifi.where()).read_bytes()
    return _read_file_of_setting(settings.ca_bundle, "ENTRENOUS_CA_BUNDLE")


def root_in_bundle(authority: StampAuthority, bundle: bytes) -> bytes | None:
    """Return the authority's root certificate in PEM; None if the bundle (PEM) does not have it."""
    return certificates_by_sha256(bundle).get(authority.root_sha256)


def certificates_by_sha256(bundle: bytes) -> dict[str, bytes]:
    """Return each certificate of a bundle (PEM) by the SHA-256 of its DER, in hex."""
    found = {}
    for block in bundle.decode(errors="replace").split(_PEM_END_LINE):
        pem = (
            block[block.find("-----BEGIN CERTIFICATE-----") :].strip() + "\n" + _PEM_END_LINE + "\n"
        )
        with suppress(ValueError):  # text that is not a certificate is ignored
            found[sha256(PEM_cert_to_DER_cert(pem)).hex()] = pem.encode()
    return found


def stored_roots_trust_text(name: str, roots: Iterable[bytes], settings: Settings) -> str:
    """Explain how far one can rely on the roots (SHA-256 of certificates) that are stored with a
    case.
    """
    bundled = certificates_by_sha256(read_certificate_bundle(settings))
    if all(root.hex() in bundled for root in roots):
        return translated(
            "All of these certificates are also in this system's bundle of public authorities, "
            "so the stamps do not depend on a certificate that only the case contains."
        )
    return translated(
        "These certificates are the ones kept in the case. Compare them with what the "
        "authority publishes, or check with its own: entrenous evidence verify {name} --ca "
        "FILE"
    ).format(name=name)


def _parse_authority(id_: str, row: _AuthorityRow, read_on: date) -> StampAuthority:
    columns = {**asdict(row), "read_on": row.read_on or read_on}
    return StampAuthority(id=id_, **columns)


def _read_file_of_setting(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise BadSetting(name=name, wanted="the path of a file that can be read") from None
